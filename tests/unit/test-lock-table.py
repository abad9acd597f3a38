#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each LockRank has a row in docs/threads-and-locks.md, and each Lock stands in
the row of the rank that it is made with. Each *_locked() says which lock.

usage: test-lock-table.py SOURCE
"""

import pathlib
import re
import sys

PRODUCT = ('base', 'iothread', 'host', 'hw', 'vpump', 'preload', 'include')
COMMENT = re.compile(r'/\*.*?\*/', re.S)
STRUCT = re.compile(r'^(?:typedef )?struct (?:LOCK_ATTRIBUTE\S* )?(\w+) '
                    r'\{\n(.*?)^\}', re.S | re.M)
FIELD = re.compile(r'^    (?:const )?(?:struct )?(\w+ \**)(\w+)[^;(]*;', re.M)
GLOBAL = re.compile(r'^(?:static )?Lock (\w+)(?: = LOCK_INITIALIZER\('
                    r'LOCK_RANK_(\w+)\))?;', re.M)
INIT = re.compile(r'lock_init\(&(\w+)->([\w.]+), LOCK_RANK_(\w+)\)')
LOCKED = re.compile(r'^[A-Za-z][\w \n*]*?\b(\w+_locked)\([^;{]*?\)([^;{)]*'
                    r'(?:\([^;{]*?\))?[^;{)]*)[;{]', re.M)


def read_sources(root):
    """{path: text without comments}, of the product"""
    return {path: COMMENT.sub('', path.read_text(encoding='utf-8'))
            for folder in PRODUCT
            for path in sorted((root / folder).rglob('*.[ch]'))}


def find_type(text, end, name):
    """The type of variable @name, as declared last before @end."""
    found = re.findall(rf'\b([A-Z]\w+) \*?{name}\b', text[:end])
    return found[-1] if found else None


def find_locks(sources):
    """({name: None} of all locks, {name: set of ranks} as they are made)"""
    structs, locks, ranks = {}, set(), {}
    for text in sources.values():
        for name, body in STRUCT.findall(text):
            fields = {field: kind.rstrip()
                      for kind, field in FIELD.findall(body)}
            structs[name] = fields
            locks |= {f'{name}::{field}' for field, kind in fields.items()
                      if kind == 'Lock'}
        for name, rank in GLOBAL.findall(text):
            locks.add(name)
            if rank:
                ranks.setdefault(name, set()).add(rank)
    for text in sources.values():
        for match in INIT.finditer(text):
            kind = find_type(text, match.start(), match[1])
            *path, field = match[2].split('.')
            for step in path:
                kind = structs.get(kind, {}).get(step)
            ranks.setdefault(f'{kind}::{field}', set()).add(match[3])
    return locks, ranks


def check_rows(ranks, rows):
    wanted = list(range(len(ranks)))
    return [] if rows == wanted else [f'ranks {wanted}, rows {rows}']


def check_ranks(locks, made):
    return [f'{name} is made with {sorted(made.get(name, ()))}'
            for name in sorted(locks | set(made))
            if name not in locks or len(made.get(name, ())) != 1]


def check_places(made, ranks, table):
    bad = []
    for name, own in sorted(made.items()):
        place = ranks.index(next(iter(own)))
        if f'`{name}`' not in table.get(place, ''):
            bad.append(f'{name} is not in row {place}')
    return bad


def check_locked(sources):
    seen, bad = set(), []
    headers_first = sorted(sources, key=lambda path: path.suffix != '.h')
    for path in headers_first:
        for name, attributes in LOCKED.findall(sources[path]):
            if 'REQUIRES' not in attributes and name not in seen:
                bad.append(f'{path.name}: {name}() has no REQUIRES()')
            seen.add(name)
    return bad if len(seen) > 100 else [f'only {len(seen)} functions seen']


def main():
    root = pathlib.Path(sys.argv[1])
    sources = read_sources(root)
    header = sources[root / 'include/base/lock.h']
    text = (root / 'docs/threads-and-locks.md').read_text(encoding='utf-8')
    enum = re.search(r'^typedef enum LockRank \{(.*?)\}', header, re.S | re.M)
    ranks = re.findall(r'LOCK_RANK_(\w+)', enum[1])
    rows = re.findall(r'^\| (\d+) \|(.*)', text, re.M)
    table = {int(row): rest for row, rest in rows}
    locks, made = find_locks(sources)
    results = {
        'has-a-row-for-each-rank': check_rows(ranks, [int(r) for r, _ in rows]),
        'each-lock-has-one-rank': check_ranks(locks, made),
        'each-lock-is-in-the-row-of-its-rank': check_places(made, ranks, table),
        'locked-functions-say-which-lock': check_locked(sources),
    }

    print(f'1..{len(results)}')
    for number, (name, bad) in enumerate(results.items(), 1):
        print(f'{"not ok" if bad else "ok"} {number} /docs/lock-table/{name}')
        print(*(f'# {line}' for line in bad), sep='\n', end='\n' if bad else '')
    return any(results.values())


if __name__ == '__main__':
    sys.exit(main())
