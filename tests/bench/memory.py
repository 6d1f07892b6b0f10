#!/usr/bin/env python3
"""What the agent takes of a worker's memory: with a large live heap, and in a program that does nothing, as tables.

usage: memory.py [--gib N] [--rounds N]

The agent's share is read from /proc/PID/smaps: its library, the segment's memfd, and its anonymous mappings, which
are the ones that core dumps leave out (MADV_DONTDUMP, "dd"). Beside it stands how much more the whole program has
resident than under an empty preload. The heap is made of blocks that are never written to.
"""
import argparse
import os
import re
import resource
import statistics
import subprocess
import time

import measured
from measured import profiled

KIB = 1024
PARTS = ["library", "segment", "anonymous"]
SAMPLE_BYTES, STACK_BYTES = 64, 600


def mappings(pid):
    """(path, flags, resident KiB, of these private or the segment's) of each mapping."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        entries = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", file.read(), flags=re.M)[1:]
    for entry in entries:
        def kib(key, entry=entry):
            return int(re.search(rf"^{key}:\s+(\d+) kB", entry, re.M)[1])
        head = entry.split("\n", 1)[0].split(None, 5)
        yield (head[5] if len(head) > 5 else "", re.search(r"^VmFlags:(.*)", entry, re.M)[1].split(), kib("Rss"),
               kib("Private_Dirty") + kib("Shared_Dirty"))


def part_of(path, flags, previous):
    if "libspprof-agent" in path:
        return "library"
    if "spprof-segment" in path:
        return "segment"
    # What of its zeroed memory does not fit the file's last page follows the library directly.
    if path == "" and ("dd" in flags or previous == "library"):
        return "anonymous" if "dd" in flags else "library"
    return None


def resident(pid):
    """KiB by part, of these written to, and of the whole program ("all")."""
    found = dict.fromkeys([*PARTS, "written", "all"], 0)
    previous = None
    for path, flags, kib, dirty in mappings(pid):
        previous = part_of(path, flags, previous)
        found["all"] += kib
        if previous:
            found[previous] += kib
            found["written"] += dirty
    return found


def of_large_heap(env, words, profiler=None):
    """(KiB by part, counters and snapshot) of a program that holds a heap."""
    with profiled.Program([measured.LARGE_HEAP, *words], env, stdout=subprocess.PIPE) as program:
        program.process.stdout.readline()
        found = resident(program.pid)
        told = profiler and (profiler.stats(program.pid)["counters"], profiler.snapshot(program.pid))
        program.end()
    return found, told


def row_of_large_heap(profiler, gib, sizes, rate):
    words = [str(gib), *map(str, sizes)]
    floor, _ = of_large_heap(measured.forwarder_env(), words)
    ours, (counters, snapshot) = of_large_heap(profiler.env(rate=rate), words, profiler)
    samples = counters["agent_samples"] - counters["agent_sampled_deaths"]
    stacks = sum(1 for site in snapshot["sites"] if site["live"]["samples"])
    return [f"{sizes[0]} … {sizes[1]} KiB", rate, str(samples), str(stacks), *(f"{ours[part] / KIB:.2f}" for part in PARTS),
            f"{sum(ours[part] for part in PARTS) / KIB:.2f}", f"{(ours['all'] - floor['all']) / KIB:.2f}",
            f"{(samples * SAMPLE_BYTES + stacks * STACK_BYTES) / KIB ** 2:.2f}"]


def print_large_heap(profiler, gib):
    rows = [row_of_large_heap(profiler, gib, sizes, rate)
            for sizes, rate in (((64, 1024), "512K"), ((16, 256), "512K"), ((64, 1024), "64K"))]
    measured.print_table(f"{gib} GiB of live heap: resident MiB", ["blocks", "interval", "live samples", "distinct stacks",
                         *PARTS, "sum", "more than under an empty preload", "allowance of samples and stacks"], rows)
    measured.note(f"allowed: {SAMPLE_BYTES} bytes for a live sample, {STACK_BYTES} for a distinct stack")
    measured.print_losses(profiler)


def of_idle(env):
    with profiled.Program(["cat"], env, stdout=subprocess.PIPE) as program:
        program.process.stdin.write(b"\n")
        program.process.stdin.flush()
        program.process.stdout.readline()
        found = resident(program.pid)
        program.end()
    return found


def of_start(env):
    """(elapsed ms, CPU ms, pages touched) of `true`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    pid = os.posix_spawn("/bin/true", ["true"], env)
    os.waitpid(pid, 0)
    elapsed = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1e3 * elapsed, 1e3 * cpu, after.ru_minflt - before.ru_minflt


def print_start(profiler, rounds):
    configurations = {"bare": dict(os.environ), "empty preload": measured.forwarder_env(),
                      "agent": profiler.env(rate="512K"), "agent, no daemon": dict(profiler.env(rate="512K"),
                                                                                  SPPROF_SOCKET="/nonexistent")}
    runs = {name: [] for name in configurations}
    for _ in range(rounds):
        for name, env in configurations.items():
            runs[name].append(of_start(env))
    medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in runs.items()}
    floor = medians["empty preload"]
    rows = [[name, *(f"{value:.3f}" for value in values[:2]), f"{values[2]:.0f}",
             f"{values[0] - floor[0]:+.3f}", f"{values[1] - floor[1]:+.3f}", f"{(values[2] - floor[2]) * 4:+.0f}"]
            for name, values in medians.items()]
    measured.print_table("`true`", ["", "ms", "CPU ms", "page faults", "ms over the empty preload", "CPU ms",
                                    "KiB touched"], rows)


def print_idle(profiler):
    floor, ours = of_idle(measured.forwarder_env()), of_idle(profiler.env(rate="512K"))
    measured.print_table("`cat`, waiting: resident KiB", [*PARTS, "sum", "written to", "more than under an empty preload"],
                         [[*(str(ours[part]) for part in PARTS), str(sum(ours[part] for part in PARTS)),
                           str(ours["written"]), f"{ours['all'] - floor['all']:+d}"]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=201)
    arguments = parser.parse_args()
    measured.need()
    with profiled.Profiler() as profiler:
        print_large_heap(profiler, arguments.gib)
        print_start(profiler, arguments.rounds)
        print_idle(profiler)


main()
