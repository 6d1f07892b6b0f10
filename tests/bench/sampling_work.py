#!/usr/bin/env python3
"""What sampling alone takes of a core in a program that allocates 100 MB/s, as a table.

usage: sampling_work.py [--rounds N] [--seconds N]

Two ways. Directly: CPU time of as many pairs of malloc and free as make that traffic, at an interval, less the
same at an interval so long that nothing is sampled; blocks of 4 KiB on average keep the pairs themselves cheap. By
parts: the cost of a sample, all of whose parts are paid if each pair is sampled, times samples per second. The
loop pauses so that the daemon can empty the rings; pauses take no CPU time of their own but in the kernel, and the
same in both. Stacks have 30 frames.
"""
import argparse
import shutil
import statistics

import measured
from measured import profiled

TRAFFIC = 100e6
MEAN_SIZE = 4096
SIZES = f"1024:{2 * MEAN_SIZE - 1024}"
DEPTH = "27"
INTERVALS = [("512K", 512 << 10), ("64K", 64 << 10)]
PAUSE = "2000:17000"
EACH_SAMPLED = ["-s", SIZES, "-p", "60:17000", "pair", "OPERATIONS", DEPTH]
FEW, MANY = 600, 3000


def loop_ns(env, seconds):
    pairs = int(seconds * TRAFFIC / MEAN_SIZE)
    return measured.said(env, [measured.HOT_LOOP, "-s", SIZES, "-p", PAUSE, "pair", str(pairs), DEPTH])["cpu_ns"]


def directly(profiler, rounds, seconds):
    """CPU seconds per second of traffic, by interval; rounds are interleaved."""
    names = [measured.NO_SAMPLE, *(name for name, _ in INTERVALS)]
    found = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(loop_ns(profiler.env(rate=name), seconds) / 1e9 / seconds)
    floor = found.pop(measured.NO_SAMPLE)
    return {name: (statistics.median(a - b for a, b in zip(values, floor)),
                   measured.spread([a - b for a, b in zip(values, floor)])) for name, values in found.items()}


def instructions_of_sample(profiler):
    each, none = (measured.per_operation(profiler.env(rate=rate), EACH_SAMPLED, FEW, MANY)["Ir"]
                  for rate in (1, measured.NO_SAMPLE))
    return each - none


def ns_of_sample(profiler, rounds):
    """As sample_cost.py has it: a malloc and a free, less the same without sampling, and without the clock."""
    words = [measured.SAMPLE_COST, "2000", DEPTH]

    def pair(env):
        run = measured.said(env, words)
        return run["malloc_ns"] + run["free_ns"] - 2 * run["clock_ns"]
    return statistics.median(pair(profiler.env(rate=1)) - pair(profiler.env(rate=measured.NO_SAMPLE))
                             for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=60, help="of traffic, in each round")
    arguments = parser.parse_args()
    measured.need()
    with profiled.Profiler() as profiler:
        instructions = instructions_of_sample(profiler) if shutil.which("valgrind") else 0
        ns = ns_of_sample(profiler, arguments.rounds)
        direct = directly(profiler, arguments.rounds, arguments.seconds)
        rows = []
        for name, interval in INTERVALS:
            rate = TRAFFIC / interval
            rows.append([name, f"{rate:.0f}", f"{instructions:.0f}", f"{ns:.0f}", f"{100 * rate * ns / 1e9:.4f}",
                         f"{100 * direct[name][0]:.4f}", f"{100 * direct[name][1]:.4f}"])
        measured.print_table("Sampling alone, at 100 MB/s", ["interval", "samples/s", "instructions each", "ns each, warm",
                             "% of a core, by parts", "% of a core, directly", "±"], rows)
        measured.print_losses(profiler)


main()
