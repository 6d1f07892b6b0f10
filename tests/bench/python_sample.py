#!/usr/bin/env python3
"""What frames of Python add to a sample: time of an allocation that is sampled, 20 of them deep, with and without
SPPROF_PYTHON=0, for each CPython on PATH and in SPPROF_TEST_PYTHONS. No verdicts.

usage: BUILDDIR=. python_sample.py [ROUNDS]

Blocks are larger than what the interpreter serves itself, so each is one malloc; a free-threaded one serves these, too, and
has its own objects sampled instead. The program rests between runs of
these, longer than a round of the daemon, which empties the rings; a run's first allocations are not timed.
"""
import statistics
import subprocess
import sys

import measured
from measured import profiled

FRAMES = 20
# Prints the mean nanoseconds of an allocation in each of COUNT runs.
PROGRAM = measured.under_frames(FRAMES, """
import time
SIZE, COLD, RUN, COUNT = 2000, 8, 48, 100
def run():
    time.sleep(0.02)
    for _ in range(COLD):
        bytes(SIZE)
    begin = time.perf_counter_ns()
    for _ in range(RUN):
        bytes(SIZE)
    print((time.perf_counter_ns() - begin) / RUN)
""", "for _ in range(COUNT): run()")
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}


def nanoseconds(python, env):
    done = subprocess.run([python, "-S", "-c", PROGRAM], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=True)
    return [float(line) for line in done.stdout.split()]


def is_free_threaded(python):
    question = "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED') or 0)"
    return subprocess.run([python, "-c", question], capture_output=True, text=True, check=True).stdout.strip() == "1"


def row_of(profiler, name, python, rounds):
    env = dict(ENV, SPPROF_PYTHON_OBJECTS="1" if is_free_threaded(python) else "0")
    ways = {"with": profiler.env(rate=1, **env), "without": profiler.env(rate=1, SPPROF_PYTHON="0", **env)}
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
