#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Watch that no change halves a ratio: those of bench/guard.json.

run GUARD VPUMP_BENCH   measure its suites, in the short form, and compare. A
                        suite in which a ratio is missed is measured again, up
                        to twice: a true halving is seen each time. Then vpump
                        is slowed down, and the ratios that say "seen_to_fail"
                        have to be missed each time. The last line counts.
compare GUARD FIGURES   the same for what was measured already, once
set GUARD FIGURES       print GUARD with the ratios of FIGURES as the usual ones
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

from bench_figures import load, median

ATTEMPTS = 3
# Speed is 1/2.5 then, less than a halving leaves.
HANDICAP = 150
NOT_MEASURED = "not measured"


class Check:
    """A ratio of GUARD, and what it has been in each attempt."""

    def __init__(self, entry, tolerance):
        self.suite = entry["suite"]
        self.name, self.ours = entry["name"], entry["competitor"]
        self.other_name = entry.get("to_name", self.name)
        self.other = entry["to"]
        self.usual = entry["usual"]
        self.seen_to_fail = entry.get("seen_to_fail", False)
        self.tolerance = tolerance
        self.attempts = []
        self.passed = False
        self.wanted = f"about {self.usual:g}"

    def competitors(self):
        return {self.ours, self.other}

    def measured(self, figures):
        """The ratio and whether more of it is better, or None."""
        figure = figures.find(self.name, self.ours)
        value = median(figures.ratio(self.name, self.ours, self.other_name,
                                     self.other))
        return None if value is None else (value,
                                           figure["better"] == "higher")

    def bound(self, higher):
        return self.usual * self.tolerance if higher else \
            self.usual / self.tolerance

    def attempt(self, figures):
        """True if the ratio is within its bound. What is missing is not."""
        measured = self.measured(figures)
        if measured is None:
            self.attempts.append(NOT_MEASURED)
            return False
        value, higher = measured
        bound = self.bound(higher)
        self.attempts.append(f"{value:.3g}")
        self.passed = value >= bound if higher else value <= bound
        self.wanted = f"{'at least' if higher else 'at most'} {bound:.3g}"
        if value * self.tolerance > self.usual if higher else \
                value < self.usual * self.tolerance:
            self.wanted += "; half of it may pass, so set a new usual ratio"
        return self.passed

    def __str__(self):
        other = "" if self.other_name == self.name else self.other_name + ", "
        return (f"{self.name}, {self.ours} to {other}{self.other}: "
                f"{', then '.join(self.attempts)}; {self.wanted}")


class Count:
    """Of what was printed."""

    def __init__(self):
        self.passed = self.failed = 0

    def line(self, good, text):
        print(f"{'ok' if good else 'not ok'} {text}", flush=True)
        if good:
            self.passed += 1
        else:
            self.failed += 1

    def summary(self):
        print(f"\n{self.passed} passed, {self.failed} failed")
        return 0 if self.failed == 0 and self.passed > 0 else 1


def load_checks(path):
    guard = json.loads(path.read_text(encoding="utf-8"))
    return [Check(entry, guard["tolerance"]) for entry in guard["checks"]]


def by_suite(checks):
    suites = {}
    for check in checks:
        suites.setdefault(check.suite, []).append(check)
    return suites


def measure(program, suite, checks, *options):
    """The figures that CHECKS are about, or None: it has failed."""
    competitors = sorted(set().union(*(c.competitors() for c in checks)))
    command = [program, "--quick", "--suite", suite, *options]
    for competitor in competitors:
        command += ["--only", competitor]
    with tempfile.NamedTemporaryFile() as file:
        done = subprocess.run([*command, "--json", file.name], check=False)
        return load(file.name) if done.returncode == 0 else None


def watch_suite(program, suite, checks, count):
    """Measure until each ratio was within its bound, or often enough."""
    missed = checks
    for _ in range(ATTEMPTS):
        figures = measure(program, suite, missed)
        if figures is None:
            count.line(False, f"suite {suite}: it does not run")
            return
        missed = [check for check in missed if not check.attempt(figures)]
        if not missed:
            break
    for check in checks:
        count.line(check.passed, check)


def watch_fail(program, suite, checks, count):
    """The same for a vpump that is slow: now each has to be missed each time,
    or watch_suite() would have let it pass."""
    missed = checks
    for _ in range(ATTEMPTS):
        figures = measure(program, suite, missed, "--handicap", str(HANDICAP))
        if figures is None:
            count.line(False, f"suite {suite}, slowed down: it does not run")
            return
        missed = [check for check in missed if not check.attempt(figures)]
        if not missed:
            break
    for check in checks:
        # One that was not measured has not been seen to fail.
        seen = not check.passed and NOT_MEASURED not in check.attempts
        count.line(seen, f"slowed down it is missed: {check}")


def run(guard, program):
    count = Count()
    for suite, checks in by_suite(load_checks(guard)).items():
        watch_suite(program, suite, checks, count)
    slowed = [c for c in load_checks(guard) if c.seen_to_fail]
    for suite, checks in by_suite(slowed).items():
        watch_fail(program, suite, checks, count)
    return count.summary()


def compare(guard, path):
    count, figures = Count(), load(path)
    for check in load_checks(guard):
        count.line(check.attempt(figures), check)
    return count.summary()


def set_usual(guard, path):
    """To two digits: more would say that they are sharp."""
    document = json.loads(guard.read_text(encoding="utf-8"))
    figures = load(path)
    for entry in document["checks"]:
        measured = Check(entry, document["tolerance"]).measured(figures)
        if measured is None:
            sys.exit(f"{path}: it has no {entry['name']} of "
                     f"{entry['competitor']} to {entry['to']}")
        entry["usual"] = float(f"{measured[0]:.2g}")
    json.dump(document, sys.stdout, indent=2)
    print()
    return 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = {"run": run, "compare": compare, "set": set_usual}
    parser.add_argument("command", choices=commands)
    parser.add_argument("guard", type=pathlib.Path)
    parser.add_argument("what")
    options = parser.parse_args()
    try:
        sys.exit(commands[options.command](options.guard, options.what))
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{parser.prog}: {options.guard}, {options.what}: "
                 f"{type(error).__name__} {error}")


if __name__ == "__main__":
    main()
