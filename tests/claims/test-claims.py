#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/claims.md names is there, and its mistakes fit the code.

usage: test-claims.py SOURCE BUILD
"""

import functools
import pathlib
import re
import subprocess
import sys

import mistakes

ROOT, BUILD = (pathlib.Path(arg) for arg in sys.argv[1:3])
PLANTED = set(re.findall(
    r"'([\w-]+)': \[",
    (ROOT / 'tests/stress/meson.build').read_text(encoding='utf-8')
    .partition('# Planted bugs')[2]))


def rows():
    text = (ROOT / 'docs/claims.md').read_text(encoding='utf-8')
    for line in re.findall(r'^\| (.*) \|$', text, re.M):
        cells = line.split(' | ')
        if cells[0] != 'claim':
            yield cells


@functools.cache
def paths_of(program):
    """Return: the cases that it lists, None if there is no such program."""
    for folder in ('unit', 'stress'):
        file = BUILD / 'tests' / folder / program
        if file.is_file():
            return subprocess.run([file, '-l'], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False,
                                  text=True).stdout.split()
    return None


def wrong_tests(cell):
    """What a row's second cell names, and is not there."""
    program = None

    for word in re.findall(r'`([^`]+)`', cell):
        if not word.startswith('/'):
            program = word
            if paths_of(word) is None:
                yield f'no program {word}'
        elif program is None or word not in (paths_of(program) or []):
            yield f'no case {word} of {program}'


def is_there(kind, word):
    if kind == 'M':
        return (ROOT / 'tests/models' / f'{word}.pml').is_file()
    if kind == 'P':
        return word in PLANTED
    return word in MISTAKES or word in (paths_of('stress-wrong-teardown') or [])


def wrong_mistakes(cell):
    """The same of the third; P and M hold up to the next semicolon."""
    for part in cell.split('; '):
        for word in re.findall(r'`([^`]+)`', part):
            if not is_there(part[0], word):
                yield f'no {word}: {part}'


def check_tests():
    for cells in rows():
        if len(cells) != 3 or '`' not in cells[1]:
            yield f'not a row: {cells}'
        else:
            yield from wrong_tests(cells[1])


def check_mistakes():
    for cells in rows():
        yield from wrong_mistakes(cells[2])


def check_all_are_named():
    named = set(re.findall(r'`([^`]+)`', ' '.join(
        cells[2] for cells in rows())))
    yield from sorted(MISTAKES.keys() - named)
    yield from sorted(PLANTED - named)


def check_they_fit():
    for mistake in MISTAKES.values():
        text = (ROOT / mistake.file).read_text(encoding='utf-8')
        if not mistake.fits(text):
            yield f'{mistake.name} is about code that is not in {mistake.file}'


MISTAKES = {mistake.name: mistake for mistake in mistakes.load()}
CASES = {
    'tests-are-there': check_tests,
    'mistakes-are-there': check_mistakes,
    'every-mistake-is-named': check_all_are_named,
    'mistakes-fit-the-code': check_they_fit,
}


def main():
    failed = 0

    print(f'1..{len(CASES)}')
    for number, (name, check) in enumerate(CASES.items(), 1):
        wrong = list(check())
        failed += bool(wrong)
        print(f'{"not " if wrong else ""}ok {number} /docs/claims/{name}')
        for line in wrong:
            print(f'# {line}')
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
