#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run an analyser over the sources, and over a file that it must object to.

Usage: analyse.py BUILD TOOL [SNIPPET]...

BUILD is a configured build folder; its compile_commands.json says what is
compiled, and how. TOOL is a key of TOOLS. Without SNIPPET the tool has to be
silent about all sources but for what tests/check/exceptions argues. A SNIPPET
has `finds: REGEX` in a comment on each line that the tool must object to, and
nowhere else. Prints what is wrong; status 0 if nothing is.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
PRODUCT = ('base', 'iothread', 'host', 'hw', 'vpump', 'preload')
JOBS = min(os.cpu_count() or 1, 4)
FINDING = re.compile(r'^(?P<file>[^\s:][^:]*):(?P<line>\d+):(?:\d+:)? '
                     r'(?:fatal )?(?:warning|error|style|performance|'
                     r'portability): (?P<text>.*)$', re.M)
CLANG = ['clang-19', '-fsyntax-only', '-Wthread-safety', '-Wthread-safety-beta']
CPPCHECK = ['cppcheck', '--enable=warning,performance,portability', '--quiet',
            '--std=c11', '--language=c', '--library=gnu', '--library=gtk',
            '--library=posix', '--template=gcc', f'-j{JOBS}',
            f'-I{TOP}', f'-I{TOP}/include', '--suppress=missingInclude',
            # 2.17 says of large functions that it looks at no more of them,
            # and does not know that GLib's allocations that fail abort.
            '--suppress=normalCheckLevelMaxBranches',
            '--suppress=nullPointerOutOfMemory',
            f'--include={TOP}/tests/check/cppcheck-macros.h',
            '-D__GNUC__', '-D__x86_64__', '-D__linux__', '-DLOCK_DEBUG']


# Commands, of (file, flags) of each that is to be looked at.

def clang(extra):
    return lambda sources: [[*CLANG, *extra, *flags, file]
                            for file, flags in sources]


def fanalyzer(sources):
    return [['gcc', '-fanalyzer', '-O0', '-S', '-o', '/dev/null', *flags, file]
            for file, flags in sources]


def tidy(sources):
    return [['clang-tidy-19', '--quiet', f'--config-file={TOP}/.clang-tidy',
             file, '--', *flags] for file, flags in sources]


def cppcheck(sources):
    # All at once: it takes longer to read what it knows of GLib than a source.
    return [[*CPPCHECK, *sorted({file for file, _ in sources})]]


# name: commands, folders
TOOLS = {
    'thread-safety': (clang([]), (*PRODUCT, 'tests')),
    # Fields that a lock of the structure's parent guards (base/lock.h).
    'parents-locks': (clang(['-DCHECK_PARENTS_LOCKS',
                             '-Wno-thread-safety-precise']), ('hw',)),
    'fanalyzer': (fanalyzer, PRODUCT),
    'clang-tidy': (tidy, PRODUCT),
    'cppcheck': (cppcheck, PRODUCT),
}


def read_database(build, folders):
    """Yields (file, flags), once for each way in which a file is compiled."""
    seen = set()
    entries = json.loads((build / 'compile_commands.json').read_text())
    for entry in entries:
        where = pathlib.Path(entry['directory'])
        file = (where / entry['file']).resolve()
        if not file.is_relative_to(TOP) or \
                file.relative_to(TOP).parts[0] not in folders:
            continue
        flags = []
        for word in shlex.split(entry['command']):
            if word.startswith('-I'):
                word = '-I' + str((where / word[2:]).resolve())
            if re.match(r'-I|-D|-std=|-pthread', word):
                flags.append(word)
        key = (file, *(f for f in flags if f.startswith('-D')))
        if key not in seen:
            seen.add(key)
            yield str(file), flags


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    findings = {(match['file'].replace(f'{TOP}/', ''), int(match['line']),
                 match['text']) for match in FINDING.finditer(output)}
    if done.returncode and not findings:
        findings.add((command[0], 0, f'ended with {done.returncode}: {output}'))
    return findings


def read_exceptions(tool):
    """[file, regex of a finding, was it used] of each that is this tool's."""
    exceptions = []
    for line in (TOP / 'tests/check/exceptions').read_text().splitlines():
        if line and not line.startswith('#'):
            name, file, regex = line.split(maxsplit=2)
            if name == tool:
                exceptions.append([file, re.compile(regex), False])
    return exceptions


def is_excepted(finding, exceptions):
    for exception in exceptions:
        if exception[0] == finding[0] and exception[1].search(finding[2]):
            exception[2] = True
            return True
    return False


def check_sources(build, tool):
    make_commands, folders = TOOLS[tool]
    exceptions = read_exceptions(tool)
    sources = list(read_database(build, folders))
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        findings = set().union(*pool.map(run, make_commands(sources)))
    bad = [f'{file}:{line}: {text}' for file, line, text in sorted(findings)
           if not is_excepted((file, line, text), exceptions)]
    if len(sources) < 30:
        bad.append(f'only {len(sources)} sources: is that all?')
    for file, regex, used in exceptions:
        if not used:
            print(f'# exception not needed here: {file} {regex.pattern}')
    print(f'# {tool}: {len(sources)} sources, {len(findings)} findings, '
          f'{len(bad)} not excepted')
    return bad


def check_snippet(build, tool, snippet):
    wanted = {}
    path = pathlib.Path(snippet).resolve()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.search(r'finds: (.*?) \*/', line)
        if match:
            wanted[number] = re.compile(match[1])
    flags = next(iter(read_database(build, ('hw',))))[1]
    command, = TOOLS[tool][0]([(str(path), flags)])
    findings = run(command)
    bad = [f'{file}:{line}: not to be found: {text}'
           for file, line, text in sorted(findings)
           if line not in wanted or not wanted[line].search(text)]
    bad += [f'{snippet}:{number}: not found: {regex.pattern}'
            for number, regex in wanted.items()
            if number not in {line for _, line, _ in findings}]
    return bad if wanted else [f'{snippet}: nothing is to be found in it']


def main():
    build, tool, snippets = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    bad = []
    if snippets:
        for snippet in snippets:
            bad += check_snippet(build, tool, snippet)
    else:
        bad = check_sources(build, tool)
    print(*bad, sep='\n', end='\n' if bad else '')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
