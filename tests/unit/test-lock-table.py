#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lock table of docs/threads-and-locks.md has a row for each LockRank.

usage: test-lock-table.py SOURCE
"""

import pathlib
import re
import sys


def main():
    root = pathlib.Path(sys.argv[1])
    header = (root / 'include/base/lock.h').read_text(encoding='utf-8')
    text = (root / 'docs/threads-and-locks.md').read_text(encoding='utf-8')
    enum = re.search(r'^typedef enum LockRank \{(.*?)\}', header, re.S | re.M)
    ranks = list(range(len(re.findall(r'LOCK_RANK_\w+', enum.group(1)))))
    rows = [int(row) for row in re.findall(r'^\| (\d+) \|', text, re.M)]

    print('1..1')
    print(f'{"ok" if rows == ranks else "not ok"} 1 /docs/lock-table/'
          'has-a-row-for-each-rank')
    if rows != ranks:
        print(f'# ranks {ranks}\n# rows {rows}')
    return rows != ranks


if __name__ == '__main__':
    sys.exit(main())
