# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print the covered lines of each file of a folder, and the folder's last.

coverage-table.py TOP FOLDER <SUMMARY, the JSON of llvm-cov export. It fails if
a C file of the folder is missing there: that would count as covered.
"""
import json
import pathlib
import sys


def percent(covered, count):
    return f"{100 * covered / count if count else 100:.1f}%"


def main():
    top = pathlib.Path(sys.argv[1])
    folder = top / sys.argv[2]
    summary = json.load(sys.stdin)
    lines = {}
    for entry in summary["data"][0]["files"]:
        path = pathlib.Path(entry["filename"])
        if folder in path.parents:
            lines[path] = entry["summary"]["lines"]
    missing = set(folder.rglob("*.c")) - set(lines)
    if missing:
        sys.exit("no coverage of " + " ".join(map(str, sorted(missing))))
    print(f"{'file':<40} {'lines':>6} {'missed':>6} {'covered':>8}")
    covered = count = 0
    for path in sorted(lines):
        n, c = lines[path]["count"], lines[path]["covered"]
        count += n
        covered += c
        print(f"{str(path.relative_to(top)):<40} {n:>6} {n - c:>6} "
              f"{percent(c, n):>8}")
    print(f"{sys.argv[2] + '/':<40} {count:>6} {count - covered:>6} "
          f"{percent(covered, count):>8}")


main()
