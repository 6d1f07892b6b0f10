#!/usr/bin/env python3
"""What frames of Python add to a sample: time of an allocation that is sampled, 20 of them deep, with and without
SPPROF_PYTHON=0, for each CPython on PATH and in SPPROF_TEST_PYTHONS. No verdicts.

usage: BUILDDIR=. python_sample.py [ROUNDS]

Blocks are larger than what the interpreter serves itself, so each is one malloc. The program rests between runs of
these, longer than a round of the daemon, which empties the rings; a run's first allocations are not timed.
"""
import statistics
import subprocess
import sys

import measured
from measured import profiled

FRAMES = 20
# Prints the mean nanoseconds of an allocation in each of COUNT runs.
PROGRAM = f"""
import time
SIZE, COLD, RUN, COUNT = 2000, 8, 48, 100
def run():
    for _ in range(COLD):
        bytes(SIZE)
    begin = time.perf_counter_ns()
    for _ in range(RUN):
        bytes(SIZE)
    return (time.perf_counter_ns() - begin) / RUN
def level_0():
    for _ in range(COUNT):
        time.sleep(0.02)
        print(run())
    return 0
""" + "".join(f"def level_{i + 1}():\n    return level_{i}() + 0\n" for i in range(FRAMES - 3)) + f"level_{FRAMES - 3}()\n"
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "SPPROF_PYTHON_OBJECTS": "0"}


def nanoseconds(python, env):
    done = subprocess.run([python, "-S", "-c", PROGRAM], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=True)
    return [float(line) for line in done.stdout.split()]


def row_of(profiler, name, python, rounds):
    ways = {"with": profiler.env(rate=1, **ENV), "without": profiler.env(rate=1, SPPROF_PYTHON="0", **ENV)}
    runs = {way: [] for way in ways}
    for way in measured.turns(ways, rounds):
        runs[way] += nanoseconds(python, ways[way])
    low, _, high = measured.quartiles(runs["with"])
    row = [name.split(" (")[0]]
    for average in (statistics.median, statistics.mean):
        row += [f"{average(runs[way]):.0f}" for way in ("without", "with")]
        row.append(f"{average(runs['with']) - average(runs['without']):.0f}")
    return row + [f"{high - low:.0f}"]


def main():
    measured.need()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with profiled.Profiler() as profiler:
        rows = [row_of(profiler, name, python, rounds) for name, python in profiled.interpreters().items()]
        measured.print_table(f"A sampled allocation under {FRAMES} frames of Python: ns",
                             ["", "median without them", "with", "added", "mean without them", "with", "added",
                              "quartiles apart"], rows)
        measured.print_losses(profiler)


main()
