#!/usr/bin/env python3
"""What the agent costs: CPU time and memory of some programs at several intervals, as Markdown tables and a plot.

usage: overhead.py [--rounds N] [--svg FILE]

All configurations of a program run by turns, so that a machine that slows down slows them all; each figure is a
median over rounds, with the quartiles' distance beside it. CPU time is user and system time of the program
alone; what the daemon spends is in a column of its own. Peak memory of a program smaller than this script cannot
be told (the kernel hands the parent's peak on) and is left out. No verdicts: timings differ between machines.
"""
import argparse
import math
import os
import resource
import shutil
import statistics

import measured
from measured import profiled

INTERVALS = ["4M", "1M", "512K", "256K", "64K", "16K"]
FLOOR = "empty preload"


def programs():
    """(name, what it needs, command, environment)"""
    yield "malloc and free, 136 B on average", None, [measured.HOT_LOOP, "pair", "30000000"], {}
    yield "realloc of 64 blocks", None, [measured.HOT_LOOP, "realloc", "10000000"], {}
    yield ("C++ containers", None, *measured.stl_program(100))
    yield ("Python, PYTHONMALLOC=malloc", "/usr/bin/python3", *measured.python_program(24))
    yield ("sqlite3", "sqlite3", *measured.sqlite_program(10))


def configurations(profiler, more):
    yield "bare", dict(os.environ, **more)
    yield FLOOR, measured.forwarder_env(**more)
    for interval in INTERVALS:
        yield f"agent, {interval}", profiler.env(rate=interval, ceiling=0, **more)


def measure(profiler, argv, more, rounds):
    figures = {name: [] for name, _ in configurations(profiler, more)}
    for name, env in measured.turns(configurations(profiler, more), rounds):
        before = measured.cpu_of(profiler.daemon.pid)
        seconds, usage = measured.run(env, argv)
        figures[name].append((seconds, usage.ru_maxrss / 1024, measured.cpu_of(profiler.daemon.pid) - before))
    return figures


def print_figures(title, figures):
    bare_seconds, bare_memory = (statistics.median(column) for column in list(zip(*figures["bare"]))[:2])
    floor = statistics.median(seconds for seconds, _, _ in figures[FLOOR])
    known = bare_memory > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 + 1
    rows = []
    for name, runs in figures.items():
        seconds, memory, daemon = (list(column) for column in zip(*runs))
        middle, peak = statistics.median(seconds), statistics.median(memory)
        rows.append([name, f"{middle:.3f}", f"{measured.spread(seconds):.3f}", f"{middle / bare_seconds:.3f}",
                     f"{middle / floor:.3f}", f"{peak:.1f}" if known else "",
                     f"{peak - bare_memory:+.1f}" if known else "", f"{statistics.median(daemon):.2f}"])
    measured.print_table(title, ["", "CPU s", "±", "to bare", "to the empty preload", "peak RSS MiB", "added MiB",
                                 "daemon CPU s"], rows)


# The plot: interval from left to right, CPU time over the empty preload's upwards.

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 264, 36, 52
COLORS = ["#1b6ca8", "#c8553d", "#2e7d4f", "#7b4fa3", "#8a6d1d"]


def points_of(figures):
    """(percent over the empty preload, lower and upper quartile) of each interval, smallest interval first."""
    floor = [seconds for seconds, _, _ in figures[FLOOR]]
    middle = statistics.median(floor)
    for interval in reversed(INTERVALS):
        values = [100 * (seconds / middle - 1) for seconds, _, _ in figures[f"agent, {interval}"]]
        low, median, high = measured.quartiles(values)
        yield median, low, high


def axis(curves):
    """The least and greatest percentage shown, and the distance of the lines between."""
    values = [value for points in curves.values() for point in points for value in point] + [0]
    step = 10 ** math.floor(math.log10(max(max(values) - min(values), 1e-9)))
    step *= next(factor for factor in (0.2, 0.5, 1, 2) if (max(values) - min(values)) / (step * factor) <= 8)
    return math.floor(min(values) / step) * step, math.ceil(max(values) / step) * step, step


def draw(curves, rounds):
    least, most, step = axis(curves)
    across = (WIDTH - LEFT - RIGHT) / (len(INTERVALS) - 1)

    def x(index):
        return LEFT + across * index

    def y(percent):
        return TOP + (HEIGHT - TOP - BOTTOM) * (most - percent) / (most - least)

    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
           f'font-family="sans-serif" font-size="12" fill="#222">')
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    yield (f'<text x="{LEFT}" y="20" font-size="13">CPU time over an empty preload, by sampling interval: '
           f'medians of {rounds} rounds, quartiles</text>')
    for i in range(round((most - least) / step) + 1):
        percent = least + i * step
        stroke = "#888" if abs(percent) < step / 2 else "#ddd"
        yield f'<path d="M{LEFT} {y(percent):.1f}H{WIDTH - RIGHT}" stroke="{stroke}"/>'
        yield f'<text x="{LEFT - 8}" y="{y(percent) + 4:.1f}" text-anchor="end">{percent:+.3g} %</text>'
    for index, interval in enumerate(reversed(INTERVALS)):
        yield f'<text x="{x(index):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{interval}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">mean bytes between samples</text>'
    for number, (name, points) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        line = "L".join(f"{x(i):.1f} {y(median):.1f}" for i, (median, _, _) in enumerate(points))
        bars = "".join(f"M{x(i):.1f} {y(low):.1f}V{y(high):.1f}" for i, (_, low, high) in enumerate(points))
        yield f'<path d="M{line}" fill="none" stroke="{color}" stroke-width="2"/>'
        yield f'<path d="{bars}" stroke="{color}" stroke-opacity="0.5"/>'
        at = TOP + 12 + 20 * number
        yield f'<path d="M{WIDTH - RIGHT + 20} {at - 4}h20" stroke="{color}" stroke-width="2"/>'
        yield f'<text x="{WIDTH - RIGHT + 46}" y="{at}">{name}</text>'
    yield "</svg>"


def write_plot(path, curves, rounds):
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in draw(curves, rounds))
    os.rename(path + ".new", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--svg", help="file to draw the plot into")
    arguments = parser.parse_args()
    measured.need()
    curves = {}
    for title, needed, argv, more in programs():
        if needed and not shutil.which(needed):
            measured.note(f"{title} is skipped: {needed} is not installed")
            continue
        with profiled.Profiler() as profiler:
            figures = measure(profiler, argv, more, arguments.rounds)
        print_figures(title, figures)
        curves[title] = list(points_of(figures))
    if arguments.svg:
        write_plot(arguments.svg, curves, arguments.rounds)


main()
