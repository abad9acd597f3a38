#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The table of conformance results in docs/iommufd-uapi.md.

usage: conformance-table.py [--check] KERNEL.tsv EMULATED.tsv DOCUMENT

Puts what two runs of host-conformance wrote by --results between the two
marker lines of DOCUMENT. With --check nothing is written: DOCUMENT must
already say it.

Fails, and writes nothing, if the suite has shrunk (fewer than 80 cases), a
case ran on one host only, failed, or was skipped without a reason.
"""

import sys

BEGIN = '<!-- conformance table: begin -->'
END = '<!-- conformance table: end -->'
FEWEST_CASES = 80
VERDICTS = ('pass', 'fail', 'skip')


class Refused(Exception):
    """Why there is no table."""


def read_results(path):
    """Case to (verdict, notes), in the order of the file."""
    results = {}
    with open(path, encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip('\n').split('\t')
            if len(fields) != 3 or fields[1] not in VERDICTS:
                raise Refused(f'{path}:{number}: not "case, '
                              'pass|fail|skip, notes" between tabs')
            case, verdict, notes = fields
            if case in results:
                raise Refused(f'{path}:{number}: {case} comes twice')
            results[case] = verdict, notes
    return results


def faults(kernel, emulated):
    """What is wrong with two sets of results, a line each."""
    for host, mine, other in (('kernel', kernel, emulated),
                              ('emulated', emulated, kernel)):
        for case, (verdict, notes) in mine.items():
            if case not in other:
                yield f'{case}: on the {host} host only'
            if verdict == 'fail':
                yield f'{case}: fails on the {host} host: {notes}'
            if verdict == 'skip' and not notes.strip():
                yield f'{case}: skipped without a reason on the {host} host'
    if len(kernel) < FEWEST_CASES:
        yield f'{len(kernel)} cases, fewer than {FEWEST_CASES}'


def cell(result):
    verdict, notes = result
    text = f'skipped: {notes}' if verdict == 'skip' else notes
    return text.replace('|', '\\|') or verdict


def table(kernel, emulated):
    rows = [f'{len(kernel)} cases.', '',
            '| case | kernel | emulated |', '|---|---|---|']
    for case, result in kernel.items():
        there = emulated[case]
        rows.append(f'| `{case}` | {cell(result)} | '
                    f'{"same" if there == result else cell(there)} |')
    return rows


def replaced(text, rows):
    lines = text.split('\n')
    if lines.count(BEGIN) != 1 or lines.count(END) != 1 or \
            lines.index(BEGIN) > lines.index(END):
        raise Refused(f'the document needs "{BEGIN}" and, below it, "{END}", '
                      'once each on a line of its own')
    begin, end = lines.index(BEGIN), lines.index(END)
    return '\n'.join(lines[:begin + 1] + [''] + rows + [''] + lines[end:])


def run(check, kernel_path, emulated_path, document):
    kernel = read_results(kernel_path)
    emulated = read_results(emulated_path)
    wrong = list(faults(kernel, emulated))
    if wrong:
        raise Refused('\n'.join(wrong))
    with open(document, encoding='utf-8') as file:
        old = file.read()
    new = replaced(old, table(kernel, emulated))
    if new == old:
        return
    if check:
        raise Refused(f'the table in {document} is not what the two runs '
                      'gave: generate it anew')
    with open(document, 'w', encoding='utf-8') as file:
        file.write(new)


def main():
    args = sys.argv[1:]
    check = '--check' in args
    if check:
        args.remove('--check')
    if len(args) != 3 or any(arg.startswith('-') for arg in args):
        sys.exit(__doc__)
    try:
        run(check, *args)
    except (Refused, OSError) as error:
        sys.exit(f'conformance-table.py: {error}')


if __name__ == '__main__':
    main()
