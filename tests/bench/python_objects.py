#!/usr/bin/env python3
"""What sampling small objects of Python costs: CPU time of a program that does nothing but make them, bare and under the
agent in turns, beside tracemalloc and PYTHONMALLOC=malloc; and instructions of usual programs over an empty preload.

usage: BUILDDIR=. python_objects.py [ROUNDS [PYTHON...]]
"""
import statistics
import subprocess
import sys

import measured
from measured import profiled

SATURATED = """
import time
class Pair:
    __slots__ = ("left", "right")
    def __init__(self, left, right):
        self.left, self.right = left, right
def run(count):
    total = 0
    for i in range(count):
        pair = Pair(i, str(i))
        items = [pair, i, (i, i + 1)]
        table = {"key": items}
        total += len(table)
    kept = [Pair(i, "x%d" % i) for i in range(count // 4)]
    return total + len(kept)
run(10000)
start = time.process_time()
run(700000)
print(time.process_time() - start)
"""
NUMPY = """
import numpy
dice = numpy.random.default_rng(1)
for _ in range(15):
    a = dice.normal(size=(200, 200))
    b = numpy.sort(numpy.linalg.solve(a, a.T), axis=None).cumsum().reshape(200, 200)[::2].mean(axis=0)
    c = numpy.where(b > 0, b, -b)
"""
WEB = """
import io, json
from urllib.parse import parse_qs
from wsgiref.handlers import SimpleHandler
def view(environ, start):
    rows = [{"id": i, "name": "row %d" % i} for i in range(20)]
    body = json.dumps({"query": parse_qs(environ["QUERY_STRING"]), "rows": rows}).encode()
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
for i in range(150):
    environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "a=%d&b=x" % i, "SERVER_PROTOCOL": "HTTP/1.0"}
    SimpleHandler(io.BytesIO(), io.BytesIO(), io.StringIO(), environ).run(view)
"""
ENV = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1"}


def seconds(python, env):
    return float(subprocess.run([python, "-S", "-c", SATURATED], env=env, capture_output=True, text=True, check=True).stdout)


def saturated(profiler, python, rounds):
    bare = dict(measured.os.environ, **ENV)
    ways = {"bare": bare, "bare again": bare, "agent": profiler.env(rate="512K", ceiling=2000, **ENV),
            "agent, no objects": profiler.env(rate="512K", ceiling=2000, SPPROF_PYTHON_OBJECTS="0", **ENV),
            "PYTHONMALLOC=malloc": dict(bare, PYTHONMALLOC="malloc"), "tracemalloc": dict(bare, PYTHONTRACEMALLOC="1")}
    times = {way: [] for way in ways}
    for way in measured.turns(ways, rounds):
        times[way].append(seconds(python, ways[way]))
    rows = []
    for way, values in times.items():
        ratios = [value / base for value, base in zip(values, times["bare"])]
        rows.append([way, f"{statistics.median(values):.3f}", f"{statistics.median(ratios):.3f}", f"{measured.spread(ratios):.3f}"])
    measured.print_table(f"{python}: five million objects made and dropped, {rounds} rounds",
                         ["", "seconds", "paired median over bare", "quartiles apart"], rows)


def usual(profiler, python):
    programs = [("json", ["-S", "-c", measured.PYTHON, "1"]), ("NumPy", ["-c", NUMPY]), ("web requests", ["-c", WEB])]
    rows = []
    for name, argv in programs:
        try:
            floor = measured.count(measured.forwarder_env(**ENV), [python, *argv])["Ir"]
        except RuntimeError:
            measured.note(f"{name} does not run by {python}")
            continue
        ours = measured.count(profiler.env(rate="512K", seed=1, **ENV), [python, *argv])["Ir"]
        without = measured.count(profiler.env(rate="512K", seed=1, SPPROF_PYTHON_OBJECTS="0", **ENV), [python, *argv])["Ir"]
        rows.append([name, f"{floor / 1e6:.0f}", f"{ours / floor:.4f}", f"{without / floor:.4f}"])
    measured.print_table(f"{python}: instructions", ["", "millions with an empty preload", "agent", "agent, no objects"], rows)


def main():
    measured.need("valgrind")
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with profiled.Profiler() as profiler:
        for python in sys.argv[2:] or ["/usr/bin/python3"]:
            saturated(profiler, python, rounds)
            usual(profiler, python)


main()
