#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests scripts/conformance-table.py, whose path is the argument. TAP."""

import os
import subprocess
import sys
import tempfile

SCRIPT = sys.argv[1]
BEGIN = '<!-- conformance table: begin -->'
END = '<!-- conformance table: end -->'
EMPTY = f'before\n{BEGIN}\n{END}\nafter\n'


def lines(count=80, **changed):
    """Results of cases c0, c1 and so on; changed: c7=('fail', 'notes')."""
    results = {f'c{i}': ('pass', f'ID {i}') for i in range(count)}
    results.update(changed)
    return ''.join(f'{case}\t{verdict}\t{notes}\n'
                   for case, (verdict, notes) in results.items())


def run(kernel, emulated, document=EMPTY, check=False):
    """(exit status, stderr, the document afterwards)"""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in (('kernel', kernel), ('emulated', emulated),
                           ('document', document)):
            paths.append(os.path.join(folder, name))
            with open(paths[-1], 'w', encoding='utf-8') as file:
                file.write(text)
        done = subprocess.run(
            [sys.executable, SCRIPT] + ['--check'] * check + paths,
            stderr=subprocess.PIPE, text=True, check=False)
        with open(paths[-1], encoding='utf-8') as file:
            return done.returncode, done.stderr, file.read()


def refuses(message, *args, **options):
    status, stderr, after = run(*args, **options)
    document = options.get('document', EMPTY)
    return status == 1 and message in stderr and after == document


def makes_a_table():
    status, _, after = run(
        lines(c1=('pass', 'a | b'), c2=('skip', 'no room')),
        lines(c1=('pass', 'b'), c2=('skip', 'no room')))
    return status == 0 and after.startswith('before\n') and \
        after.endswith(f'\n{END}\nafter\n') and \
        '\n80 cases.\n' in after and \
        '\n| `c0` | ID 0 | same |\n' in after and \
        '\n| `c1` | a \\| b | b |\n' in after and \
        '\n| `c2` | skipped: no room | same |\n' in after


def is_replaced_whole():
    _, _, first = run(lines(81), lines(81))
    _, _, second = run(lines(80), lines(80), document=first)
    return second == run(lines(80), lines(80))[2] != first


def check_passes_what_it_made():
    _, _, after = run(lines(), lines())
    return run(lines(), lines(), document=after, check=True)[0] == 0


def check_refuses_an_old_table():
    _, _, after = run(lines(), lines())
    new = lines(c5=('pass', 'ID 6'))
    return refuses('generate it anew', new, new, document=after, check=True)


CASES = {
    'makes-a-table': makes_a_table,
    'old-table-is-replaced': is_replaced_whole,
    'check/passes-what-it-made': check_passes_what_it_made,
    'check/refuses-an-old-table': check_refuses_an_old_table,
    'check/refuses-no-table': lambda: refuses(
        'generate it anew', lines(), lines(), check=True),
    'refuses/failed-case': lambda: refuses(
        'c3: fails on the emulated host: EBUSY', lines(),
        lines(c3=('fail', 'EBUSY'))),
    'refuses/case-on-the-kernel-only': lambda: refuses(
        'c80: on the kernel host only', lines(81), lines(80)),
    'refuses/case-on-the-emulated-host-only': lambda: refuses(
        'c80: on the emulated host only', lines(80), lines(81)),
    'refuses/skipped-without-a-reason': lambda: refuses(
        'c4: skipped without a reason on the kernel host',
        lines(c4=('skip', '')), lines()),
    'refuses/fewer-than-80': lambda: refuses(
        '79 cases, fewer than 80', lines(79), lines(79)),
    'refuses/case-twice': lambda: refuses(
        'c0 comes twice', lines() + lines(1), lines()),
    'refuses/malformed-line': lambda: refuses(
        'kernel:81: not', lines() + 'c80 pass\n', lines()),
    'refuses/document-without-markers': lambda: refuses(
        'the document needs', lines(), lines(), document='text\n'),
}


def main():
    print(f'1..{len(CASES)}')
    failed = 0
    for number, (name, holds) in enumerate(CASES.items(), 1):
        good = holds()
        failed += not good
        print(f'{"ok" if good else "not ok"} {number} '
              f'/conformance-table/{name}')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
