#!/usr/bin/env python3
"""What freeing costs in a large heap: instructions and data cache misses of a free and a malloc at random addresses
among 300,000 blocks, as a table; and how many frees get as far as the heap map.

usage: free_cost.py [--operations N]

The blocks that are freed come from glibc's __libc_malloc, which no preload sees, so none of them is sampled, however
many of the blocks between them are. Counted by callgrind in simulated caches: 32 KiB, 8 ways; 1 MiB, 16 ways.
"""
import argparse
import subprocess

import measured
from measured import profiled

LIVE = [5000, 50000]


def simulate(env, live, operations):
    words = ["-l", str(live), "scatter", "OPERATIONS"]
    return measured.per_operation(env, words, operations, 2 * operations, *measured.CACHES)


def row_of(name, live, events):
    first, second = (events[level + "r"] + events[level + "w"] for level in ("D1m", "DLm"))
    return [name, str(live), f"{events['Ir']:.1f}", f"{events['Dr'] + events['Dw']:.1f}", f"{first:.3f}", f"{second:.3f}"]


def pass_rates(profiler, live, frees):
    """Of unsampled frees: the shares that pass the whole filter and find nothing."""
    words = [measured.HOT_LOOP, "-w", "-l", str(live), "scatter", str(frees)]
    with profiled.Program(words, profiler.env(rate=1), stdout=subprocess.PIPE) as program:
        program.process.stdout.readline()
        counters = profiler.stats(program.pid)["counters"]
        program.end()
    return [str(live), f"{100 * counters['agent_filter_false_positives'] / frees:.3f}",
            str(counters["agent_filter_cells_used"]), str(counters["agent_samples"])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=100000)
    arguments = parser.parse_args()
    measured.need("valgrind")
    with profiled.Profiler() as profiler:
        rows = [row_of("empty preload", 0, simulate(measured.forwarder_env(), 0, arguments.operations))]
        for live in LIVE:
            # The same heap, of which nothing is sampled.
            rows += [row_of("empty preload", live, simulate(measured.forwarder_env(), live, arguments.operations)),
                     row_of("agent", live, simulate(profiler.env(rate=1), live, arguments.operations))]
        measured.print_table("A free and a malloc at random addresses",
                             ["", "live samples", "instructions", "data accesses", "misses of 32 KiB", "misses of 1 MiB"],
                             rows)
        measured.print_table("Unsampled frees that reach the map",
                             ["live samples", "%", "cells of the filter's first level in use", "samples taken"],
                             [pass_rates(profiler, live, 10 * arguments.operations) for live in LIVE])


main()
