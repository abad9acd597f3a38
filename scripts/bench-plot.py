#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Draw what vpump-bench has measured as SVG, by gnuplot: FILE, to FOLDER."""
import argparse
import math
import pathlib
import re
import subprocess
import sys

from bench_figures import LIMIT, OURS, in_order, is_variant_of, load

SIZE = (900, 520)
# Colours that differ for most eyes, by families of competitors: one's variants
# have its colour, dashed.
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c6d31",
           "#7570b3")
# What is between these is marked only.
TIMES = [(n * factor, f"{n} {unit}") for unit, factor in
         (("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9))
         for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n * factor <= 1e10]
QUANTILE_TICS = ", ".join(
    f'"{share}" {x}' for share, x in
    (("50", 2), ("90", 10), ("99", 100), ("99.9", 1000), ("99.99", 10**4),
     ("99.999", 10**5), ("99.9999", 10**6)))
# What a time is from and to, by the beginning of names.
TITLES = (
    ("events/latency", "From event to ring entry"),
    ("events/interrupt-latency", "From event to interrupt"),
    ("big-lock/", "From event to ring entry, the big lock held by others"),
    ("pages/", "From page request to answer"),
    ("storms/", "From page request to answer"),
    ("aio/bh-latency", "From schedule to run of a bottom half"),
    ("aio/wakeup", "From write to handler"))


def family(competitor):
    """That of libuv-64 is libuv; cloud-hypervisor is one of its own."""
    for base in LIMIT, OURS:
        if is_variant_of(competitor, base):
            return base
    return re.sub(r"-\d+$", "", competitor)


class Styles:
    """The same for a competitor in all plots."""

    def __init__(self, competitors):
        families = dict.fromkeys(map(family, competitors))
        peers = [f for f in families if f not in (LIMIT, OURS)]
        self.colours = {LIMIT: "#000000", OURS: "#d55e00"}
        for i, peer in enumerate(peers):
            self.colours[peer] = COLOURS[i % len(COLOURS)]

    def colour(self, competitor):
        return self.colours[family(competitor)]

    def line(self, competitor):
        width = 3 if is_variant_of(competitor, OURS) else 1.6
        variant = competitor != family(competitor) and \
            not competitor.endswith("-64")
        return (f"linewidth {width} linecolor rgb '{self.colour(competitor)}'"
                f" dashtype {2 if variant else 1}")


def title_of(name):
    """With the name, by which tables have it."""
    for beginning, text in TITLES:
        if name.startswith(beginning):
            return f"{text}: {name}"
    return name


def time_tics(values):
    """Labels close enough for VALUES, on a logarithmic axis of ns."""
    decades = math.log10(max(values) / min(values))
    tics = []
    for ns, text in TIMES:
        leading = f"{ns:g}".lstrip("0.")[0]
        if leading == "1" or decades < 2.5:
            tics.append(f'"{text}" {ns:g}')
        else:
            tics.append(f'"" {ns:g} 1')
    # By a little more than a decade, or the label of its end is left out.
    least = 10 ** math.floor(math.log10(min(values)))
    return (f"set ytics ({', '.join(tics)})\n"
            f"set yrange [{0.99 * least:g}:*]")


def block(name, rows):
    lines = [" ".join(str(cell) for cell in row) for row in rows]
    return "\n".join([f"${name} << EOD", *lines, "EOD"])


def plot(path, title, settings, blocks, elements):
    """ELEMENTS are what `plot` draws, of the BLOCKS of data."""
    script = "\n".join([
        f"set terminal svg size {SIZE[0]},{SIZE[1]} dynamic "
        "font 'sans-serif,14' background rgb 'white'",
        f"set output '{path}'",
        f"set title \"{title}\" noenhanced",
        "set grid linecolor rgb '#cccccc' linetype 1 linewidth 0.5",
        "set border linecolor rgb '#555555'",
        "set key outside right top Left reverse samplen 2 noenhanced",
        settings, *blocks, "plot " + ", \\\n ".join(elements), ""])
    try:
        subprocess.run(["gnuplot", "-"], input=script, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{path}: {error}")


def file_name(name):
    return re.sub(r"[^A-Za-z0-9.]+", "-", name)


def plot_latencies(folder, figures, styles):
    """A file for each name of curves, but those of the series below."""
    latencies = [c for c in figures.curves if not
                 c["name"].startswith(("events/batch", "scale/", "startup/"))]
    for name in dict.fromkeys(c["name"] for c in latencies):
        curves = in_order(c for c in latencies if c["name"] == name)
        blocks, elements, values = [], [], []
        for i, curve in enumerate(curves):
            # Nothing is below 1 ns in a plot of logarithms.
            rows = [(x, max(y, 1)) for x, y in zip(curve["x"], curve["y"])]
            blocks.append(block(f"d{i}", rows))
            values += [y for x, y in rows if x >= 1.1]
            competitor = curve["competitor"]
            elements.append(f"$d{i} with lines {styles.line(competitor)} "
                            f"title '{competitor}'")
        settings = (f"set logscale xy\nset xtics ({QUANTILE_TICS})\n"
                    f"{time_tics(values)}\nset xrange [1.1:*]\n"
                    "set xlabel 'of all values, %'\nset ylabel 'no more than'")
        plot(folder / f"{file_name(name)}.svg", title_of(name), settings,
             blocks, elements)


def series(figures, pattern):
    """By competitor: number in the name, median, least, most."""
    found = {}
    for figure in in_order(figures.all):
        match = re.fullmatch(pattern, figure["name"])
        if match:
            found.setdefault(figure["competitor"], []).append(
                (int(match[1]), figure["value"], min(figure["samples"]),
                 max(figure["samples"])))
    return {name: sorted(points) for name, points in found.items()}


def plot_series(path, title, settings, lines, styles):
    """LINES: legend, competitor, points as of series()."""
    blocks, elements = [], []
    for i, (legend, competitor, points) in enumerate(lines):
        style = styles.line(competitor)
        blocks.append(block(f"d{i}", points))
        elements.append(f"$d{i} with lines {style} title '{legend}'")
        elements.append(f"$d{i} with yerrorbars pointtype {5 + 2 * i} "
                        f"pointsize 0.7 linewidth 1.6 linecolor "
                        f"rgb '{styles.colour(competitor)}' notitle")
    if lines:
        plot(path, title, settings, blocks, elements)


def plot_batches(folder, figures, styles):
    for source in "emulated", "pipe", "kernel":
        found = series(figures, rf"events/batch/(\d+)/{source}")
        plot_series(
            folder / f"batch-{source}.svg",
            f"Throughput by records per read, {source}",
            "set logscale x 2\nset format y '%.0s %c'\nset yrange [0:*]\n"
            "set xlabel 'records per read'\nset ylabel 'events/s'",
            [(name, name, points) for name, points in found.items()], styles)


def plot_scale(folder, figures, styles):
    lines = [(f"{competitor}, {kind}", competitor + dash, points)
             for kind, dash in (("busy", ""), ("idle", "-idle"))
             for competitor, points in
             series(figures, rf"scale/{kind}/(\d+)").items()]
    plot_series(folder / "scale.svg", "Cost of an event by vIOMMUs",
                "set logscale x 10\nset yrange [0:*]\n"
                "set xlabel 'vIOMMUs on one iothread'\n"
                "set ylabel 'ns/event'", lines, styles)


def plot_startup(folder, figures, styles):
    """Curves by devices, of all that are attached or detached one by one."""
    curves = [c for c in figures.curves if c["name"].startswith("startup/")]
    blocks, elements = [], []
    for i, curve in enumerate(curves):
        # Not one above the other, in the one colour of vpump.
        colour = (styles.colour(curve["competitor"]), *COLOURS)[i]
        blocks.append(block(f"d{i}", zip(curve["x"], curve["y"])))
        elements.append(f"$d{i} with lines linewidth 1.6 linecolor rgb "
                        f"'{colour}' title '{curve['name']}'")
    if curves:
        values = [y for curve in curves for y in curve["y"]]
        plot(folder / "startup.svg", "Time to attach and detach a device",
             f"set logscale xy\n{time_tics(values)}\n"
             "set xlabel 'devices that there are'\n"
             "set ylabel 'for one more, or less'", blocks, elements)


def plot_throughput(folder, figures, styles):
    for source in "emulated", "pipe", "kernel":
        bars = in_order(f for f in figures.all
                        if f["name"] == "events/saturated/" + source)
        if not bars:
            continue
        rows = [(i, f["value"], min(f["samples"]), max(f["samples"]),
                 styles.colour(f["competitor"]).replace("#", "0x"))
                for i, f in enumerate(bars)]
        tics = ", ".join(f"'{f['competitor']}' {i}"
                         for i, f in enumerate(bars))
        # The number stands above the whisker.
        settings = (f"unset key\nset xtics ({tics}) rotate by -35 noenhanced\n"
                    "set boxwidth 0.7\nset style fill solid 0.9\n"
                    f"set xrange [-0.6:{len(bars) - 0.4}]\n"
                    "set yrange [0:*]\nset offsets 0, 0, graph 0.08, 0\n"
                    "set format y '%.0s %c'\nset ylabel 'events/s'")
        plot(folder / f"throughput-{source}.svg",
             f"Saturated throughput, {source}", settings, [block("d", rows)],
             ["$d using 1:2:(int(column(5))) with boxes "
              "linecolor rgb variable",
              "$d using 1:2:3:4 with yerrorbars pointtype -1 "
              "linewidth 1.5 linecolor rgb '#777777'",
              "$d using 1:4:(gprintf('%.1s %c', $2)) with labels "
              "offset 0, 0.7 font ',11'"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("folder", type=pathlib.Path)
    options = parser.parse_args()
    try:
        figures = load(options.file)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{parser.prog}: {options.file}: {error}")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"{parser.prog}: {options.folder}: {error}")
    styles = Styles([f["competitor"] for f in figures.all])
    for draw in (plot_throughput, plot_batches, plot_latencies, plot_scale,
                 plot_startup):
        draw(options.folder, figures, styles)


main()
