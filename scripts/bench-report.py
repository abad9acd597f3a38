#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print what vpump-bench has measured, and which targets that reaches.

Of several files the first one's figures, and a column of targets for each.
"""
# Names of figures, on which suites, targets and plots agree; a part in capitals
# stands for several. SOURCE is emulated, pipe or kernel. QUANTILE is p50, p99,
# p99.9 or max; what has these may have a curve, of x = 1/(1 - quantile) and ns.
#
#   events/saturated/SOURCE                  events/s, each ring cold
#   events/saturated-warm/SOURCE             events/s, a ring in the cache
#   events/batch/RECORDS/SOURCE              events/s, RECORDS per read
#   events/latency/RATE/QUANTILE             ns, report to ring entry; of the
#       pipe events/latency-pipe/..., of the kernel events/latency-kernel/...
#   events/interrupt-latency/RATE/QUANTILE   ns, report to interrupt; likewise
#   big-lock/HELD/p50, /p99                  ns, HELD: free, 50%-50us, 90%-50us,
#   big-lock/HELD/throughput                 events/s   50%-1ms or 90%-1ms
#   pages/round-trip/QUANTILE                ns; "limit" is the ping-pong's
#   pages/round-trip-busy/QUANTILE           ns; all of them spin
#   pages/sva-round-trip/QUANTILE            ns, of an emulated device
#   pages/saturated, pages/loaded/throughput groups/s
#   pages/loaded/QUANTILE                    ns
#   of the kernel pages/round-trip-kernel/..., pages/saturated-kernel, ...
#   cost/cpu                                 ns/event
#   cost/syscalls, cost/allocations          /event
#   scale/busy/VIOMMUS, scale/idle/VIOMMUS   ns, an event
#   scale/memory                             bytes, a vIOMMU
#   storms/STORM/throughput                  events/s, STORM is quiet, hot-plug
#   storms/STORM/p99                         ns                      or piotlb
#   storms/pages-quiet/..., storms/pasid-churn/...  as pages/...
#   aio/...                                  ns
#   startup/process, startup/device-1000     ns
#
# Competitors: "limit" spins in read(), "limit-poll" sleeps in poll(); "vpump"
# sleeps, "vpump-busy" polls for up to 1 ms. What sleeps is compared with
# limit-poll, where there is such a figure, what spins with limit.
import argparse
import re
import sys

from bench_figures import LIMIT, OURS, in_order, load, median

SERIES = re.compile(r"/(\d+)(?=/|$)")
QUANTILES = ("p50", "p99", "p99.9", "max")
TIMES = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def scaled(value, steps):
    """VALUE and the name of the largest of STEPS that it reaches."""
    for step, name in steps:
        if abs(value) >= step:
            break
    value /= step
    digits = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 9.95 else 2
    return f"{value:.{digits}f} {name}".rstrip()


def with_unit(value, unit):
    """For people."""
    of, slash, per = unit.partition("/")
    if of in TIMES:
        text = scaled(value * TIMES[of], ((1, "s"), (1e-3, "ms"),
                                          (1e-6, "us"), (1e-9, "ns")))
    elif of == "bytes":
        text = scaled(value, ((1 << 30, "GiB"), (1 << 20, "MiB"),
                              (1 << 10, "KiB"), (1, "bytes")))
    elif abs(value) >= 1000:
        text = scaled(value, ((1e9, "G"), (1e6, "M"), (1e3, "k"))) + " " + of
    else:
        text = f"{value:.3g} {of if of != '1' else ''}".rstrip()
    return text + slash + per


def percent(value):
    return "-" if value is None else f"{value:.0%}"


def ratio(value):
    """Of small ones the digits that there are."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.2g}"


# What is a name and stands to the left.
NAMES = ("figure", "competitor", "target")


def table_text(header, rows):
    cells = [header] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        line = "  ".join(
            cell.ljust(width) if name in NAMES else cell.rjust(width)
            for name, cell, width in zip(header, row, widths))
        yield "  " + line.rstrip()


def table_markdown(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "|".join("---" if name in NAMES else "---:"
                         for name in header) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


class Page:
    """What is printed, in either form."""

    def __init__(self, markdown):
        self.markdown = markdown

    def title(self, text):
        print(f"\n## {text}\n" if self.markdown else f"\n== {text}")

    def table(self, caption, header, rows):
        if caption is not None:
            name = f"`{caption}`\n" if self.markdown and caption else caption
            print("\n" + name if name else "")
        form = table_markdown if self.markdown else table_text
        print(*form(header, rows), sep="\n")

    def line(self, text):
        print(text)


def ratio_cells(figure):
    return [percent(figure["spread"]), ratio(figure["ratio_to_limit"]),
            ratio(figure["ratio_to_best_peer"])]


def value_cells(figure):
    return [figure["competitor"], with_unit(figure["value"], figure["unit"]),
            *ratio_cells(figure)]


VALUES = ["competitor", "median", "spread", "to limit", "to best peer"]


def print_plain(page, name, figures):
    page.table(name, VALUES, [value_cells(f) for f in figures])


def print_singles(page, _name, figures):
    """That have one competitor only."""
    rows = [[f["name"], *value_cells(f)] for f in figures]
    page.table("", ["figure"] + VALUES, rows)


def print_series(page, name, figures):
    """Whose names differ by a number."""
    rows = [[SERIES.search(f["name"])[1], *value_cells(f)] for f in figures]
    rows.sort(key=lambda row: int(row[0]))
    page.table(name, ["N"] + VALUES, rows)


def print_quantiles(page, parent, figures):
    """A row per competitor for what would be a table per quantile."""
    of = {(f["competitor"], f["name"].rpartition("/")[2]): f for f in figures}
    names = [q for q in QUANTILES if any(key[1] == q for key in of)]
    rows = []
    for competitor in dict.fromkeys(f["competitor"] for f in figures):
        found = [of.get((competitor, q)) for q in names]
        tail = of.get((competitor, "p99")) or next(filter(None, found))
        rows.append([competitor] +
                    [with_unit(f["value"], f["unit"]) if f else "-"
                     for f in found] + ratio_cells(tail))
    page.table(parent, ["competitor"] + names +
               ["p99: spread", "to limit", "to best peer"], rows)


def table_of(figures, figure):
    """How it is printed, and the caption of its table."""
    parent, _, last = figure["name"].rpartition("/")
    if last in QUANTILES:
        return print_quantiles, parent
    if SERIES.search(figure["name"]):
        return print_series, SERIES.sub("/N", figure["name"])
    if len(figures.competitors(figure["name"])) == 1:
        return print_singles, figure["name"].split("/")[0]
    return print_plain, figure["name"]


def print_figures(page, figures):
    tables = {}
    for figure in figures.all:
        tables.setdefault(table_of(figures, figure), []).append(figure)
    topics = {}
    for (form, name), members in tables.items():
        topics.setdefault(name.split("/")[0], []).append((form, name, members))
    for topic, members in topics.items():
        page.title(topic)
        for form, name, found in members:
            form(page, name, in_order(found))


class Target:
    """A row of the table: what MEASURE gives of Figures, by repetition."""

    def __init__(self, what, measure, at_least=None, at_most=None, below=None):
        self.what, self.measure = what, measure
        self.at_least, self.at_most, self.below = at_least, at_most, below

    def wanted(self):
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return "-" if self.below is None else f"< {self.below:g}"

    def reached(self, value):
        """None: no target, it is there for comparison."""
        if self.at_least is not None:
            return value >= self.at_least
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.below is None else value < self.below


def versus(name, other, ours=OURS):
    return lambda f: f.ratio(name, ours, name, other)


def versus_best_peer(name, but=()):
    return lambda f: f.ratio(name, OURS, name, f.best_peer(name, but))


def versus_own(name, other_name, competitor=OURS):
    return lambda f: f.ratio(name, competitor, other_name, competitor)


def versus_limit_asleep(name):
    def measure(figures):
        asleep = figures.find(name, LIMIT + "-poll")
        return figures.ratio(name, OURS, name,
                             LIMIT + "-poll" if asleep else LIMIT)
    return measure


def plain(name):
    return lambda f: f.samples(name, OURS)


def throughput_targets():
    for source in "emulated", "pipe":
        name = "events/saturated/" + source
        text = f"throughput, {source}: to "
        yield Target(text + "the limit", versus(name, LIMIT), at_least=0.9)
        yield Target(text + "qemu", versus(name, "qemu"), at_least=20)
        yield Target(text + "cloud-hypervisor",
                     versus(name, "cloud-hypervisor"), at_least=1.5)
        yield Target(text + "the best other peer",
                     versus_best_peer(name, ("qemu", "cloud-hypervisor")),
                     at_least=1.5)
    yield Target("throughput, kernel's queue: to the limit",
                 versus("events/saturated/kernel", LIMIT), at_least=0.95)


def latency_targets():
    name = "events/latency/10000/p99"
    # The limit spins, and vpump sleeps between such events: the wake-up is in
    # this one, and in neither of the two after it.
    yield Target("p99 at 10 k/s: to the limit", versus(name, LIMIT),
                 at_most=1.5)
    yield Target("p99 at 10 k/s: to the limit, asleep",
                 versus_limit_asleep(name), at_most=1.5)
    yield Target("p99 at 10 k/s, busy: to the limit",
                 versus(name, LIMIT, OURS + "-busy"), at_most=1.5)
    yield Target("p99 at 10 k/s: to the best peer", versus_best_peer(name),
                 below=1)


def big_lock_targets():
    held, free = "big-lock/90%-1ms/", "big-lock/free/"
    text = "big lock held 90 % in 1 ms, to free: "
    yield Target(text + "p99", versus_own(held + "p99", free + "p99"),
                 at_most=1.1)
    yield Target(text + "throughput",
                 versus_own(held + "throughput", free + "throughput"),
                 at_least=0.9)
    yield Target(text + "qemu's p99",
                 versus_own(held + "p99", free + "p99", "qemu"))


def other_targets():
    yield Target("page request, p50: to the ping-pong",
                 versus("pages/round-trip/p50", LIMIT), at_most=2)
    yield Target("page request, kernel's queue, p50: to the ping-pong",
                 versus("pages/round-trip-kernel/p50", LIMIT))
    yield Target("page request, loaded: p99 to p50",
                 versus_own("pages/loaded/p99", "pages/loaded/p50"), at_most=4)
    for kind in "busy", "idle":
        yield Target(f"cost of 1,000 vIOMMUs, {kind}: to that of one",
                     versus_own(f"scale/{kind}/1000", f"scale/{kind}/1"),
                     at_most=1.25)
    yield Target("cost of 1,000 vIOMMUs, busy: to the limit's of 1,000",
                 versus("scale/busy/1000", LIMIT))
    for storm in "hot-plug", "hot-plug-10k", "piotlb":
        yield Target(f"throughput in a {storm} storm: to quiet",
                     versus_own(f"storms/{storm}/throughput",
                                "storms/quiet/throughput"), at_least=0.9)
    yield Target("system calls per event, saturated", plain("cost/syscalls"),
                 below=0.05)
    yield Target("allocations per event", plain("cost/allocations"),
                 at_most=0)


TARGETS = (*throughput_targets(), *latency_targets(), *big_lock_targets(),
           *other_targets())


def target_cells(target, figures):
    """Measured, from the least to the most, reached."""
    samples = target.measure(figures)
    if not samples:
        return ["not measured", "", "-"]
    value = median(samples)
    reached = target.reached(value)
    return [f"{value:.3g}", f"{min(samples):.3g} to {max(samples):.3g}",
            "-" if reached is None else "yes" if reached else "NO"]


def print_targets(page, runs):
    header = ["target", "wanted"]
    for i in range(len(runs)):
        run = f" {i + 1}" if len(runs) > 1 else ""
        header += ["measured" + run]
        header += [] if run else ["least to most"]
        header += ["reached"]
    rows = []
    for target in TARGETS:
        row = [target.what, target.wanted()]
        for figures in runs:
            value, span, reached = target_cells(target, figures)
            row += [value, reached] if len(runs) > 1 else [value, span, reached]
        rows.append(row)
    page.title("targets")
    page.table(None, header, rows)


def print_machine(page, figures):
    machine = figures.document["machine"]
    page.line(f"vpump {machine['version']} on {machine['cpu']}, "
              f"{machine['cpus']} CPUs, Linux {machine['kernel']}, "
              f"gcc {machine['compiler']};")
    page.line(f"clock {machine['clocksource']}: {machine['clock_ns']:.0f} ns "
              f"a reading, in steps of {machine['clock_step_ns']} ns; "
              f"up to {figures.document['repetitions']} repetitions"
              f"{', quick' if figures.document['quick'] else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--targets", action="store_true", help="only these")
    parser.add_argument("files", nargs="+", metavar="FILE")
    options = parser.parse_args()
    try:
        runs = [load(path) for path in options.files]
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{parser.prog}: {' '.join(options.files)}: {error}")
    page = Page(options.markdown)
    if not options.targets:
        print_machine(page, runs[0])
        print_figures(page, runs[0])
    print_targets(page, runs)


if __name__ == "__main__":
    main()
