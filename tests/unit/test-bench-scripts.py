#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guard misses what became half as good, and the report says which targets
are reached: of doctored figures. And bench/guard.json is in order.

usage: test-bench-scripts.py SOURCE
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

GUARD = {"tolerance": 0.6, "checks": [
    {"suite": "s", "name": "rate", "competitor": "vpump", "to": "limit",
     "usual": 0.9, "seen_to_fail": True},
    {"suite": "s", "name": "wait", "competitor": "vpump", "to": "limit",
     "usual": 1.4},
    {"suite": "t", "name": "many", "competitor": "vpump", "to": "vpump",
     "to_name": "one", "usual": 1.1}]}
USUAL = {("rate", "vpump"): 900, ("rate", "limit"): 1000,
         ("wait", "vpump"): 1400, ("wait", "limit"): 1000,
         ("many", "vpump"): 1100, ("one", "vpump"): 1000}
TARGETS = {("events/saturated/pipe", "limit"): 1000,
           ("events/saturated/pipe", "qemu"): 40,
           ("events/saturated/pipe", "cloud-hypervisor"): 500,
           ("events/saturated/pipe", "libev-1"): 100,
           ("events/saturated/pipe", "libev-64"): 650,
           ("events/saturated/pipe", "vpump"): 950,
           ("scale/busy/1", "vpump"): 20, ("scale/busy/1000", "vpump"): 24,
           ("scale/idle/1", "vpump"): 20, ("scale/idle/1000", "vpump"): 40,
           ("cost/allocations", "vpump"): 0}


def is_higher_better(name):
    return name == "rate" or name.startswith("events/saturated")


def document(values, drift=(1, 3, 2)):
    """Of {(name, competitor): median}: a machine whose speed DRIFTs."""
    figures = []
    for (name, competitor), value in values.items():
        figures.append({
            "name": name, "competitor": competitor, "value": value * 2,
            "unit": "x", "spread": 1, "ratio_to_limit": None,
            "ratio_to_best_peer": None,
            "better": "higher" if is_higher_better(name) else "lower",
            "samples": [value * factor for factor in drift]})
    machine = {"version": "0", "cpu": "c", "cpus": 2, "kernel": "k",
               "compiler": "g", "clocksource": "t", "clock_ns": 20.0,
               "clock_step_ns": 1}
    return {"machine": machine, "quick": True, "repetitions": 3,
            "figures": figures, "curves": []}


class Scripts:
    def __init__(self, source):
        self.folder = source / "scripts"

    def run(self, script, *arguments):
        done = subprocess.run(
            [sys.executable, "-B", self.folder / script, *arguments],
            stdout=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stdout

    def compare(self, values, guard=GUARD, command="compare"):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / "guard", pathlib.Path(folder) / "f"]
            for path, content in zip(paths, (guard, document(values))):
                path.write_text(json.dumps(content), encoding="utf-8")
            return self.run("bench-guard.py", command, *paths)

    def misses(self, values):
        """The names of the checks that fail; the last line has to agree."""
        status, text = self.compare(values)
        missed = re.findall(r"^not ok (\w+),", text, re.M)
        good = len(GUARD["checks"]) - len(missed)
        assert text.endswith(f"\n{good} passed, {len(missed)} failed\n"), text
        assert status == (1 if missed else 0), status
        return missed

    def guard_run(self, script):
        """That of a program that writes the figures `usual`, or `slow`."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            slow = USUAL | {("rate", "vpump"): 360}
            for name, values in ("usual", USUAL), ("slow", slow):
                (folder / name).write_text(json.dumps(document(values)),
                                           encoding="utf-8")
            (folder / "guard").write_text(json.dumps(GUARD), encoding="utf-8")
            program = folder / "program"
            program.write_text(f"#!/bin/sh\ncd {folder}\nshift 3\n"
                               "for json; do :; done\n" + script,
                               encoding="utf-8")
            program.chmod(0o755)
            return self.run("bench-guard.py", "run", folder / "guard", program)


def test_guard_passes_what_is_usual(scripts, _source):
    assert scripts.misses(USUAL) == []


def test_guard_misses_each_that_is_half_as_good(scripts, _source):
    assert scripts.misses(USUAL | {("rate", "vpump"): 450}) == ["rate"]
    assert scripts.misses(USUAL | {("wait", "vpump"): 2800}) == ["wait"]
    assert scripts.misses(USUAL | {("many", "vpump"): 2200}) == ["many"]


def test_guard_forgives_noise_and_progress(scripts, _source):
    assert scripts.misses(USUAL | {("rate", "vpump"): 600}) == []
    assert scripts.misses(USUAL | {("wait", "vpump"): 2200}) == []
    assert scripts.misses(USUAL | {("rate", "vpump"): 9000}) == []
    assert scripts.misses(USUAL | {("wait", "vpump"): 100}) == []


def test_guard_misses_what_was_not_measured(scripts, _source):
    for gone in ("rate", "vpump"), ("wait", "limit"), ("one", "vpump"):
        values = {key: USUAL[key] for key in USUAL if key != gone}
        assert len(scripts.misses(values)) == 1


def test_guard_takes_new_usual_ratios(scripts, _source):
    status, text = scripts.compare(USUAL | {("rate", "vpump"): 500},
                                   command="set")
    assert status == 0
    expected = json.loads(json.dumps(GUARD))
    expected["checks"][0]["usual"] = 0.5
    assert json.loads(text) == expected, text


SLOWED = 'case "$*" in *--handicap*) f=slow ;; *) f=usual ;; esac\n'
COPY = 'cat "$f" >"$json"\n'


def test_guard_is_seen_to_fail(scripts, _source):
    status, text = scripts.guard_run(SLOWED + COPY)
    assert status == 0 and text.endswith("\n4 passed, 0 failed\n"), text
    status, text = scripts.guard_run("f=usual\n" + COPY)
    assert status == 1 and text.endswith("\n3 passed, 1 failed\n"), text
    # What is missed once only would have passed when measured again.
    once = SLOWED + 'mkdir "tried-$f" 2>/dev/null || f=usual\n'
    status, text = scripts.guard_run(once + COPY)
    assert status == 1 and "0.36, then 0.9;" in text, text


def test_guard_says_what_has_become_better(scripts, _source):
    for values in {("rate", "vpump"): 2000}, {("wait", "vpump"): 700}:
        status, text = scripts.compare(USUAL | values)
        assert status == 0 and text.count("set a new usual") == 1, text
    assert "set a new usual" not in scripts.compare(USUAL)[1]


def test_guard_measures_again(scripts, _source):
    once = 'if mkdir tried 2>/dev/null; then f=slow; fi\n'
    status, text = scripts.guard_run(SLOWED + once + COPY)
    assert status == 0 and "limit: 0.36, then 0.9;" in text, text
    status, text = scripts.guard_run("f=slow\n" + COPY)
    assert status == 1 and "limit: 0.36, then 0.36, then 0.36;" in text, text


def test_guard_fails_where_nothing_runs(scripts, _source):
    status, text = scripts.guard_run("exit 3\n")
    assert status == 1 and text.endswith("\n0 passed, 3 failed\n"), text


def targets(scripts, values):
    """{text: (measured, reached)} of the report."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(document(values), file)
        file.flush()
        status, text = scripts.run("bench-report.py", "--markdown", "--targets",
                                   file.name)
    assert status == 0
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()
            if line.startswith("| ")]
    return {row[0]: (row[2], row[-1]) for row in rows[1:]}


def test_report_says_what_is_reached(scripts, _source):
    found = targets(scripts, TARGETS)
    expected = {
        "throughput, pipe: to the limit": ("0.95", "yes"),
        "throughput, pipe: to qemu": ("23.8", "yes"),
        "throughput, pipe: to cloud-hypervisor": ("1.9", "yes"),
        "throughput, pipe: to the best other peer": ("1.46", "NO"),
        "throughput, emulated: to the limit": ("not measured", "-"),
        "cost of 1,000 vIOMMUs, busy: to that of one": ("1.2", "yes"),
        "cost of 1,000 vIOMMUs, idle: to that of one": ("2", "NO"),
        "allocations per event": ("0", "yes"),
    }
    for what, cells in expected.items():
        assert found[what] == cells, (what, found[what])
    found = targets(scripts, TARGETS | {("events/saturated/pipe", "vpump"): 600,
                                        ("cost/allocations", "vpump"): 0.01})
    assert found["throughput, pipe: to the limit"] == ("0.6", "NO")
    assert found["throughput, pipe: to qemu"] == ("15", "NO")
    assert found["throughput, pipe: to cloud-hypervisor"] == ("1.2", "NO")
    assert found["allocations per event"] == ("0.02", "NO")


def test_guard_file_is_in_order(_scripts, source):
    guard = json.loads((source / "bench/guard.json").read_text("utf-8"))
    # What is half as good has to be beyond it.
    assert 0.5 < guard["tolerance"] < 0.8
    assert any(entry.get("seen_to_fail") for entry in guard["checks"])
    for entry in guard["checks"]:
        assert set(entry) <= {"suite", "name", "competitor", "to", "to_name",
                              "usual", "seen_to_fail"}, entry
        assert entry["usual"] > 0
        assert (source / f"bench/suite-{entry['suite']}.c").exists(), entry


def main():
    source = pathlib.Path(sys.argv[1])
    tests = [(name, test) for name, test in globals().items()
             if name.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = 0
    for i, (name, test) in enumerate(tests, 1):
        path = "/bench/scripts/" + name[5:].replace("_", "-")
        try:
            test(Scripts(source), source)
        except AssertionError as error:
            failed += 1
            print(f"# {error}".replace("\n", "\n# "))
            print("not ok", i, path)
        else:
            print("ok", i, path)
    sys.exit(failed > 0)


main()
