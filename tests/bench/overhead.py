#!/usr/bin/env python3
"""What the agent costs: CPU time and memory of some programs at several intervals, as Markdown tables.

usage: overhead.py [--rounds N]

All configurations of a program run by turns, so that a machine that slows down slows them all; each figure is a
median over rounds, with the quartiles' distance beside it. CPU time is user and system time of the program
alone; what the daemon spends is in a column of its own. Peak memory of a program smaller than this script cannot
be told (the kernel hands the parent's peak on) and is left out. No verdicts: timings differ between machines.
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import profiled  # noqa: E402

FORWARDER = os.path.join(profiled.BUILD, "tests", "bench", ".libs", "libempty-forwarder.so")
HOT_LOOP = os.path.join(profiled.BUILD, "tests", "bench", "hot_loop")
INTERVALS = ["4M", "512K", "64K", "16K"]
PYTHON = """
import json
keep = []
for i in range(12):
    tree = {str(k): [k, str(k) * 3, {"a": k}] for k in range(20000)}
    keep.append(json.loads(json.dumps(tree)))
    keep = keep[-3:]
"""
PROGRAMS = [
    ("malloc and free, 136 B on average", [HOT_LOOP, "pair", "30000000"], {}),
    ("realloc of 64 blocks", [HOT_LOOP, "realloc", "10000000"], {}),
    ("Python, PYTHONMALLOC=malloc", ["/usr/bin/python3", "-c", PYTHON], {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}),
]


def cpu_and_memory(argv, env):
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def daemon_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def configurations(profiler, more):
    plain = dict(os.environ, **more)
    yield "bare", plain
    yield "empty preload", dict(plain, LD_PRELOAD=FORWARDER)
    for interval in INTERVALS:
        yield f"agent, {interval}", profiler.env(rate=interval, ceiling=0, **more)


def measure(profiler, argv, more, rounds):
    figures = {}
    for _ in range(rounds):
        for name, env in configurations(profiler, more):
            before = daemon_cpu(profiler.daemon.pid)
            seconds, megabytes = cpu_and_memory(argv, env)
            figures.setdefault(name, []).append((seconds, megabytes, daemon_cpu(profiler.daemon.pid) - before))
    return figures


def spread(values):
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0], 0, values[0])
    return high - low


def print_table(title, figures):
    print(f"\n### {title}\n\n| | CPU s | ± | to bare | peak RSS MiB | added MiB | daemon CPU s |\n|---|---|---|---|---|---|---|")
    bare_seconds, bare_memory = (statistics.median(column) for column in list(zip(*figures["bare"]))[:2])
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, runs in figures.items():
        seconds, memory, daemon = (list(column) for column in zip(*runs))
        peak = statistics.median(memory)
        known = bare_memory > own + 1
        print(f"| {name} | {statistics.median(seconds):.3f} | {spread(seconds):.3f} | "
              f"{statistics.median(seconds) / bare_seconds:.3f} | {f'{peak:.1f}' if known else ''} | "
              f"{f'{peak - bare_memory:+.1f}' if known else ''} | {statistics.median(daemon):.2f} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    profiled.need()
    for title, argv, more in PROGRAMS:
        with profiled.Profiler() as profiler:
            print_table(title, measure(profiler, argv, more, arguments.rounds))


main()
