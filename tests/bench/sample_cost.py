#!/usr/bin/env python3
"""What one sample costs: time of a sampled allocation, and instructions and time beside other samplers, as tables.

usage: sample_cost.py [--rounds N]

Against the others: pairs of malloc and free at an interval of 4 KiB, less the same allocator's pairs without a
sample, by the number of samples expected. Instructions come from callgrind, times are CPU time of the loop, which
pauses so that the daemon can empty the rings. No verdicts on time.
"""
import argparse
import shutil
import statistics

import measured
from measured import profiled

DEPTHS = [20, 60]
FRAMES_THERE = 3  # of a stack, without the descent: main and what is above it
INTERVAL = 4096
MEAN_SIZE = 136
# What is sampled of that many pairs fills less than a ring; a pause is longer than the daemon's round.
PAUSE = "2000:17000"
# gperftools takes no sample in a thread's first 16 MiB.
FEW, MANY, MANY_TIMED = 130000, 180000, 330000


def print_one(profiler, rounds):
    rows = []
    for frames in (10, 30, 60):
        words = [measured.SAMPLE_COST, "2000", str(frames - FRAMES_THERE)]
        runs = [measured.said(profiler.env(rate=1), words) for _ in range(rounds)]
        floor = [measured.said(measured.forwarder_env(), words) for _ in range(rounds)]
        row = [str(frames)]
        for name in ("malloc_ns", "free_ns"):
            row += [f"{statistics.median(run[name] - run['clock_ns'] for run in which):.0f}" for which in (floor, runs)]
        rows.append(row + [str(max(run["stack_bytes"] for run in runs))])
    measured.print_table("An allocation that is sampled, warm, and its free: median ns",
                         ["frames", "malloc, empty preload", "sampled", "free, empty preload", "of a sampled block",
                          "stack bytes"], rows)


def samplers(profiler):
    """(name, environment without a sample, at the interval); nothing where one is not installed."""
    yield "spprof", profiler.env(rate=measured.NO_SAMPLE), profiler.env(rate=INTERVAL)
    if measured.JEMALLOC:
        yield "jemalloc", measured.jemalloc_env(46), measured.jemalloc_env(12)
    else:
        measured.note("skipped: libjemalloc2 is not installed")
    if measured.TCMALLOC:
        yield "gperftools", measured.tcmalloc_env(1 << 46), measured.tcmalloc_env(INTERVAL)
    else:
        measured.note("skipped: libgoogle-perftools4 is not installed")


def instructions(env, depth):
    return measured.per_operation(env, ["-p", PAUSE, "pair", "OPERATIONS", str(depth)], FEW, MANY)["Ir"]


def nanoseconds(env, depth):
    first, second = (measured.said(env, [measured.HOT_LOOP, "-p", PAUSE, "pair", str(n), str(depth)])["cpu_ns"]
                     for n in (FEW, MANY_TIMED))
    return (second - first) / (MANY_TIMED - FEW)


def cost_of(sampler, depth, rounds):
    """(instructions, ns) of a sample; instructions None without valgrind."""
    _, without, dense = sampler
    samples = MEAN_SIZE / INTERVAL
    counted = shutil.which("valgrind") and (instructions(dense, depth) - instructions(without, depth)) / samples
    times = [(nanoseconds(dense, depth) - nanoseconds(without, depth)) / samples for _ in range(rounds)]
    return counted, statistics.median(times)


def print_beside_others(profiler, rounds):
    rows = []
    for depth in DEPTHS:
        ours = None
        for sampler in samplers(profiler):
            counted, ns = cost_of(sampler, depth, rounds)
            ours = ours or (counted, ns)
            rows.append([str(depth), sampler[0], f"{counted:.0f}" if counted else "",
                         f"{ours[0] / counted:.2f}" if counted else "", f"{ns:.0f}", f"{ours[1] / ns:.2f}"])
    measured.print_table("A sample at an interval of 4 KiB, its free included",
                         ["depth", "sampler", "instructions", "spprof to it", "ns", "spprof to it"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    measured.need()
    with profiled.Profiler() as profiler:
        print_one(profiler, arguments.rounds)
        print_beside_others(profiler, arguments.rounds)
        measured.print_losses(profiler)


main()
