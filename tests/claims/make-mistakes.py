#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make the mistakes of tests/claims/mistakes, one after the other, in a copy of
the sources that is built, and see whether the test of each finds it.

usage: make-mistakes.py SOURCES BUILD [NAME]...
"""

import pathlib
import subprocess
import sys

import mistakes

SECONDS = 60


def quiet(*command, seconds=None):
    """Return: the exit status, or None if it took too long."""
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False,
                              timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        return None


def find_program(build, name):
    return next((directory + name for directory in ('tests/unit/',
                                                    'tests/stress/')
                 if (build / (directory + name + '.p')).exists()), name)


def run(build, mistake):
    """Return: the exit status, None if it hangs, or why there is none."""
    target = find_program(build, mistake.program)

    if quiet('ninja', '-C', build, target) != 0:
        return 'does not build'
    return quiet(build / target, '-p', mistake.path, seconds=SECONDS)


def try_one(sources, build, mistake):
    """Return: what became of it; 'found' is as it should be."""
    file = sources / mistake.file
    good = file.read_text(encoding='utf-8')

    if not mistake.fits(good):
        return 'is about code that is not there'
    if run(build, mistake) != 0:
        return 'FAILS WITHOUT IT'
    try:
        file.write_text(mistake.apply(good), encoding='utf-8')
        status = run(build, mistake)
    finally:
        file.write_text(good, encoding='utf-8')
    if isinstance(status, str):
        return status
    return 'NOT FOUND' if status == 0 else 'found'


def main():
    sources, build = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    wanted = sys.argv[3:]
    known = mistakes.load()
    unknown = sorted(set(wanted) - {m.name for m in known})
    if unknown:
        sys.exit(f'no mistake {", ".join(unknown)} in tests/claims/mistakes')
    chosen = [m for m in known if not wanted or m.name in wanted]
    failed = 0

    for mistake in chosen:
        what = try_one(sources, build, mistake)
        failed += what != 'found'
        print(f'{mistake.name:36} {mistake.path:56} {what}', flush=True)
    print(f'\n{len(chosen) - failed} passed, {failed} failed')
    return failed > 0 or not chosen


if __name__ == '__main__':
    sys.exit(main())
