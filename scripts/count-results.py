# SPDX-License-Identifier: LGPL-2.1-or-later
"""Count test cases in logs of `meson test`: prints passed, failed, skipped.

Usage: count-results.py STATUS [LOG.json]...

A test that speaks TAP counts by its cases, any other as one. STATUS is what
meson exited with: should it be bad with no failure in the logs, that is one.
"""
import json
import os
import re
import sys

GOOD = ('OK', 'EXPECTEDFAIL')
PLAN = re.compile(r'^1\.\.\d+', re.M)
CASE = re.compile(r'^(not )?ok\b[^#\n]*(?:#\s*(skip|todo))?', re.M | re.I)


def count_test(test):
    """Returns (passed, failed, skipped) of one test program."""
    result, output = test['result'], test.get('stdout', '')
    if result == 'SKIP':
        return 0, 0, 1
    if result == 'EXPECTEDFAIL' or not PLAN.search(output):
        return (1, 0, 0) if result in GOOD else (0, 1, 0)
    passed = failed = skipped = 0
    for bad, directive in CASE.findall(output):
        if directive:
            skipped += 1
        elif bad:
            failed += 1
        else:
            passed += 1
    # It crashed, hung or lost count without a case that says so.
    if result not in GOOD and not failed:
        failed = 1
    return passed, failed, skipped


def main(status, logs):
    totals = [0, 0, 0]
    for log in filter(os.path.exists, logs):
        with open(log, encoding='utf-8', errors='replace') as lines:
            for line in lines:
                try:
                    counts = count_test(json.loads(line))
                except (ValueError, KeyError):
                    counts = (0, 1, 0)      # meson was killed while writing
                totals = [a + b for a, b in zip(totals, counts)]
    if status != 0 and totals[1] == 0:
        totals[1] = 1
    print(*totals)


main(int(sys.argv[1]), sys.argv[2:])
