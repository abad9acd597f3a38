#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the failure sweeps, and tells which call sites they have not met. TAP.

call-sites.py --source FOLDER --argued FILE --functions NAME[,NAME]...
              --objects FOLDER [--objects FOLDER]... [--list] PROGRAM...

A site is an instruction of our objects that calls something which may fail: one
of the functions that the linker wraps for the sweeps (--functions), another one
that may fail (OTHERS), an allocator that ends the process (ABORTING), or the
host through HostIommuOps. The list comes from the objects, by objdump, and for
the host's from the source. Each program notes where it has made a call fail
(--sites). What was never failed has to be in FILE with a reason; and what is in
FILE has to be a site that was never failed.
"""
import argparse
import collections
import glob
import os
import re
import subprocess
import sys
import tempfile

OTHERS = set('''
    fcntl64 fopen64 fstat64 g_dir_open g_file_read_link
    g_mapped_file_new_from_fd getrlimit64 ioctl mincore opendir
    pthread_setname_np read readlink recv send sigtimedwait timerfd_settime
    write
'''.split())

# Errors (g_set_error() and their like) are argued as a whole, in the file.
ABORTING = set('''
    calloc g_array_append_vals g_array_insert_vals g_array_new
    g_array_set_size g_array_sized_new g_build_filename g_hash_table_add
    g_hash_table_get_keys g_hash_table_insert g_hash_table_new
    g_hash_table_new_full g_list_append g_list_prepend g_malloc g_malloc0
    g_malloc0_n g_malloc_n g_memdup2 g_path_get_basename g_ptr_array_add
    g_ptr_array_new g_ptr_array_new_with_free_func g_queue_push_head
    g_queue_push_tail g_realloc g_realloc_n g_slist_prepend g_source_add_unix_fd
    g_source_new g_source_set_name g_strdup g_strdup_printf g_strdup_vprintf
    g_strndup g_string_append g_string_append_printf g_string_new malloc realloc
    strdup
'''.split())

# The program may end when it starts; the library is in a monitor that lives.
ABORTING_WHERE = re.compile(r'(base|iothread|hw|host)/')

SOURCES = ('base', 'iothread', 'host', 'hw', 'vpump', 'include')
HOST_CALL = re.compile(r'->ops->(ioctl|read|write)\(|\bhost_ioctl\(host, ')

Frame = collections.namedtuple('Frame', 'function file line')
Site = collections.namedtuple('Site', 'kind symbol frames')


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def place(frames):
    """The innermost frame that is not a header's inline function."""
    return next((f for f in frames if f.file.endswith('.c')), frames[0])


def describe(site):
    where = place(site.frames)
    return f'{where.file}:{where.line} {where.function}() {site.symbol}'


class Lines:
    """From addresses of an object or program to frames of the source."""

    def __init__(self, source):
        self.source = source

    def frames(self, path, addresses, section=None):
        """[[Frame, innermost first]], for each address"""
        if not addresses:
            return []
        args = ['addr2line', '-a', '-i', '-f', '-e', path]
        args += ['-j', section] if section else []
        found = []
        lines = run(*args, *(f'{a:x}' for a in addresses)).splitlines()
        index = 0
        while index < len(lines):
            if lines[index].startswith('0x'):
                found.append([])
                index += 1
                continue
            # FILE:LINE, perhaps with a note; a path may have blanks.
            file, _, line = re.sub(r' \(discriminator \d+\)$', '',
                                   lines[index + 1]).rpartition(':')
            file = os.path.relpath(os.path.normpath(file), self.source)
            # gcc's clones are still the function.
            found[-1].append(Frame(lines[index].partition('.')[0], file, line))
            index += 2
        return found


def calls_of(path, symbols):
    """[(section, address in the instruction, symbol, mnemonic)]"""
    section = mnemonic = ''
    for line in run('objdump', '-dr', '--no-show-raw-insn',
                    path).splitlines():
        if line.startswith('Disassembly of section '):
            section = line.split()[3].rstrip(':')
        elif match := re.match(r'\s*([0-9a-f]+):\s+R_\w+\s+([\w.]+)', line):
            if match[2] in symbols:
                yield section, int(match[1], 16), match[2], mnemonic
        elif match := re.match(r'\s*[0-9a-f]+:\s+(\w+)', line):
            mnemonic = match[1]


def sites_of_objects(folders, functions, lines):
    symbols = functions | OTHERS | ABORTING
    for path in sorted(p for f in folders for p in glob.glob(f + '/*.o')):
        by_section = collections.defaultdict(list)
        for section, address, symbol, mnemonic in calls_of(path, symbols):
            by_section[section].append((address, symbol, mnemonic))
        for section, calls in by_section.items():
            found = lines.frames(path, [c[0] for c in calls], section)
            for (_, symbol, mnemonic), frames in zip(calls, found):
                kind = ('aborting' if symbol in ABORTING else 'function')
                if kind == 'aborting' and not ABORTING_WHERE.match(
                        place(frames).file):
                    continue
                # The wrapper would see the caller's caller.
                tail = mnemonic in ('jmp', 'b') and symbol in functions
                yield Site('tail call' if tail else kind, symbol,
                           tuple(frames))


def sites_of_host(source):
    """Calls of the host, each with the lines from its first to its last."""
    for top in SOURCES:
        for path in sorted(glob.glob(f'{source}/{top}/**/*.[ch]',
                                     recursive=True)):
            with open(path, encoding='utf-8') as file:
                text = file.read()
            function = '?'
            rows = text.splitlines()
            for number, row in enumerate(rows, 1):
                if match := re.match(r'[A-Za-z].*?\b(\w+)\(', row):
                    function = match[1]
                if match := HOST_CALL.search(row):
                    last = number
                    while ';' not in rows[last - 1] and \
                            '{' not in rows[last - 1]:
                        last += 1
                    yield (Site('host', match[1] or 'ioctl', (
                        Frame(function, os.path.relpath(path, source),
                              str(number)),)), range(number, last + 1))


class Argued:
    """The file of sites that are never failed, and why."""

    def __init__(self, path):
        self.entries = []
        self.used = set()
        with open(path, encoding='utf-8') as file:
            for line in file:
                if line.strip() and not line.startswith('#'):
                    kind, where, reason = line.split(maxsplit=2)
                    self.entries.append((kind, *where.split(':'), reason))

    def covers(self, site):
        covered = False
        for index, (kind, *names, _) in enumerate(self.entries):
            # In whichever function the call is, or was inlined into.
            if kind == site.kind and any(
                    all(re.fullmatch(name, is_) for name, is_ in zip(
                        names, (frame.file, frame.function, site.symbol)))
                    for frame in site.frames):
                self.used.add(index)
                covered = True
        return covered

    def stale(self):
        return [' '.join(entry[:2]) for index, entry in
                enumerate(self.entries) if index not in self.used]


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def case(self, good, path, notes=()):
        for note in notes:
            print('#', note)
        self.count += 1
        self.failed += not good
        print('ok' if good else 'not ok', self.count, path, flush=True)

    def sweep(self, program, sites):
        """Its cases, as they come, become ours."""
        with subprocess.Popen(program + ['--tap', '--sites', sites],
                              stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if match := re.match(r'(not )?ok \d+ (.*)', line):
                    self.case(not match[1], match[2])
                elif not re.match(r'1\.\.|TAP|# random|# (Start|End) of',
                                  line):
                    print('#', line.lstrip('# '), end='', flush=True)
            process.wait()
            if process.returncode != 0:
                self.case(False, f'{os.path.basename(program[0])} ends with '
                                 f'{process.returncode}')


def failed_frames(program, path, lines):
    """Where the program has made calls fail."""
    with open(path, encoding='utf-8') as file:
        addresses = [int(line, 16) - 1 for line in file]
    return [tuple(f) for f in lines.frames(program, addresses)]


def host_has_failed(lines_of_call, site, failed):
    where = site.frames[0]
    return any(frame.file == where.file and frame.line.isdigit() and
               int(frame.line) in lines_of_call
               for frames in failed for frame in frames)


def compare(tap, args, failed, lines):
    argued = Argued(args.argued)
    missed = collections.defaultdict(list)
    needless = []
    counts = collections.Counter()
    functions = set(args.functions.split(','))

    sites = [(site, site.frames in failed) for site in sorted(set(
        sites_of_objects(args.objects, functions, lines)))]
    sites += [(site, host_has_failed(rows, site, failed))
              for site, rows in sites_of_host(args.source)]
    for site, has_failed in sites:
        counts[site.kind] += 1
        if args.list:
            print('#', 'failed' if has_failed else 'not', site.kind,
                  describe(site))
        if not has_failed and not argued.covers(site):
            missed[site.kind].append(describe(site))
        # (Of the host's, a function may have several that are one to it.)
        if has_failed and site.kind != 'host' and argued.covers(site):
            needless.append(describe(site))
    for kind in ('function', 'host', 'aborting', 'tail call'):
        tap.case(not missed[kind] and (counts[kind] or kind == 'tail call'),
                 f'/call-sites/{kind.replace(" ", "-")}',
                 [f'{counts[kind]} sites; not failed, and not argued:'
                  if missed[kind] else f'{counts[kind]} sites'] +
                 missed[kind])
    stale = argued.stale()
    tap.case(not stale, '/call-sites/argued-are-there', stale)
    # An argument that is too broad would hide what is not failed any more.
    tap.case(not needless, '/call-sites/argued-are-not-failed', needless)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--source', required=True)
    parser.add_argument('--argued', required=True)
    parser.add_argument('--functions', required=True)
    parser.add_argument('--objects', action='append', required=True)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('programs', nargs='+')
    args = parser.parse_args()
    args.source = os.path.realpath(args.source)
    lines = Lines(args.source)
    failed = set()
    tap = Tap()

    with tempfile.TemporaryDirectory() as folder:
        for index, program in enumerate(args.programs):
            path = f'{folder}/{index}'
            tap.sweep([program], path)
            if os.path.exists(path):
                failed.update(failed_frames(program, path, lines))
    compare(tap, args, failed, lines)
    print(f'1..{tap.count}')
    return tap.failed > 0


sys.exit(main())
