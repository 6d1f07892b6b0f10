#!/usr/bin/env python3
"""Instructions that Python's objects and frames cost (TAP), counted by callgrind with each on and off.

With profile feedback an interpreter has copies of pymalloc where it has seen the tables of functions as they were compiled.
Any hook of these tables misses them, which is most of what an object costs there.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import measured  # noqa: E402
import profiled  # noqa: E402
from tap import Tap, skip_all  # noqa: E402

PYTHON = "/usr/bin/python3"
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
OBJECTS = """
import array, sys
kept = array.array("d", bytes(8 * int(sys.argv[1]))).tolist()
"""
FRAMES = 20
# The daemon empties the rings meanwhile.
SAMPLES = measured.under_frames(FRAMES, """
import sys, time
def run():
    time.sleep(0.15)
    for _ in range(56):
        bytes(2000)
""", "for _ in range(int(sys.argv[1])): run()")
# Debian's 3.11: 7, of which 4 are ours, and 7,400.
OBJECT_MOST, FRAMES_MOST = 12, 12000


def each(program, env, few, many):
    first, second = (measured.count(env, [PYTHON, "-S", "-c", program, str(count)])["Ir"] for count in (few, many))
    return (second - first) / (many - few)


def main():
    measured.need("valgrind")
    if os.environ.get("SPPROF_SANITIZED"):
        skip_all("a sanitizer's checks are instructions, too")
    if not os.path.exists(PYTHON):
        skip_all(f"{PYTHON} is not installed")
    tap = Tap()
    with profiled.Profiler() as profiler:
        on, off = (each(OBJECTS, profiler.env(rate=measured.NO_SAMPLE, SPPROF_PYTHON_OBJECTS=objects, **ENV), 10000, 60000)
                   for objects in "10")
        tap.ok(0 < on - off <= OBJECT_MOST, f"an object that is not sampled takes {on - off:.1f} more, at most {OBJECT_MOST}")
        on, off = (each(SAMPLES, profiler.env(rate=1, SPPROF_PYTHON_OBJECTS="0", SPPROF_PYTHON=frames, **ENV), 4, 14) / 56
                   for frames in "10")
        tap.ok(500 < on - off <= FRAMES_MOST, f"{FRAMES} frames add {on - off:.0f} to a sample, at most {FRAMES_MOST}")
    tap.done()


main()
