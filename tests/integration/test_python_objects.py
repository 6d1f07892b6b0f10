#!/usr/bin/env python3
"""Small objects of Python, which never reach malloc, against the truth (TAP).

The truth is what tests/programs/count_preload.c counts while every object comes from malloc (PYTHONMALLOC=malloc): the
same requests; for a free-threaded interpreter what tracemalloc counts. With every byte a sample point, growth must be
that to within what rounds off, whatever allocator stands behind, and gone once the objects are. For one CPython, and
those in SPPROF_TEST_PYTHONS. With SPPROF_LONG=1 in all modes; and at a wide interval the estimate of each site must be as
good as its interval says, with SPPROF_TRUTH_RUNS seeds. With SPPROF_LONG=2 all of that for each CPython on PATH.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

PROGRAM = os.path.join(profiled.SRC, "tests", "programs", "python_objects.py")
KINDS = ["make_strings", "make_lists", "make_dicts", "make_objects", "make_grown"]
LONG = int(os.environ.get("SPPROF_LONG") or 0)
EXACT, MANY = 500, 40000  # objects of each kind
RATE = 16384
RUNS = int(os.environ.get("SPPROF_TRUTH_RUNS", "2"))
MODES = [("by default", [], {}), ("PYTHONMALLOC=pymalloc", [], {"PYTHONMALLOC": "pymalloc"}),
         ("PYTHONMALLOC=debug", [], {"PYTHONMALLOC": "debug"}), ("PYTHONMALLOC=malloc", [], {"PYTHONMALLOC": "malloc"}),
         ("PYTHONMALLOC=malloc_debug", [], {"PYTHONMALLOC": "malloc_debug"}), ("-X dev", ["-X", "dev"], {}),
         ("-X tracemalloc", ["-X", "tracemalloc"], {}), ("-X dev -X tracemalloc", ["-X", "dev", "-X", "tracemalloc"], {})]
ORDERS = [("", [], [], []), (", traced while made", ["trace"], ["forget"], []), (", traced while dropped", [], [], ["trace"])]
ENV = {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Told:
    """PROGRAM, which does one line after the other."""

    def __init__(self, program):
        self.program = program
        self.pid = program.pid

    def tell(self, *lines):
        for line in lines:
            self.program.stdin.write(line.encode() + b"\n")
            self.program.stdin.flush()
            words = self.program.stdout.readline().split()
            if not words or words[0] != b"done":
                raise RuntimeError(f"the program ended at {line!r}")
            self.pid, self.traced = int(words[1]), int(words[2])


def is_free_threaded(python):
    return b"1" in subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"])


def traced_growth(python, *lines):
    """As true_growth, by tracemalloc: a free-threaded interpreter takes no objects from malloc."""
    with subprocess.Popen([python, "-S", PROGRAM], env=dict(os.environ, **ENV), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        told = Told(process)
        told.tell("trace", *(line for line in lines for line in (line, "drop")))
        growth = []
        for line in lines:
            before = told.traced
            told.tell(line)
            growth.append(told.traced - before)
        process.stdin.close()
    return growth


def true_growth(python, *lines):
    """What each of the lines adds to what is live."""
    if is_free_threaded(python):
        return traced_growth(python, *lines)
    with tempfile.TemporaryDirectory() as directory:
        counter = profiled.Counter(directory)
        env = dict(os.environ, **ENV, LD_PRELOAD=profiled.COUNTER, COUNT_FILE=counter.path, PYTHONMALLOC="malloc")
        with subprocess.Popen([python, "-S", PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            told = Told(process)
            told.tell(*(line for line in lines for line in (line, "drop")))
            growth = []
            for line in lines:
                before = counter.read()[0]
                told.tell(line)
                growth.append(counter.read()[0] - before)
            process.stdin.close()
    return growth


def exact_copy(profiler, pid):
    """However much of it the rings could not hold: what is live is exact once it is confirmed."""
    def confirmed():
        snapshot = profiler.snapshot(pid, "--timeout", "30")
        return None if snapshot["quality"]["unconfirmed"] else snapshot
    snapshot = profiled.until(confirmed)
    if not snapshot:
        raise RuntimeError("the copy is never confirmed")
    return snapshot


def live(profiler, pid):
    return exact_copy(profiler, pid)["totals"]["live"]["bytes"]["value"]


def run(profiler, python, options=(), rate=1, preload=(), **env):
    env = {**ENV, "SPPROF_AUDIT": "0", **env}
    return profiler.run([python, "-S", *options, PROGRAM], rate=rate, seed=env.pop("seed", 1), preload=preload, environment=env,
                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def judge_mode(tap, profiler, python, name, options, env, truth):
    grow = f"grow {EXACT}"
    with run(profiler, python, options, **env) as program:
        told = Told(program.process)
        told.tell(grow, "trace", "drop", grow, "forget", "drop")
        start = live(profiler, told.pid)
        for order, before, between, after in ORDERS if LONG else ORDERS[:1]:
            told.tell(*before, grow, *between)
            full = live(profiler, told.pid)
            told.tell(*after, "drop", *("forget" for word in after if word == "trace"))
            gone = live(profiler, told.pid)
            tap.ok(abs(full - start - truth) < 0.01 * truth, f"{name}{order}: each object is counted once",
                   f"{full - start:.0f} bytes more, in truth {truth}")
            tap.ok(abs(gone - start) < 0.01 * truth, f"{name}{order}: nothing is left of them", f"{gone - start:.0f} bytes")
        sampled = profiled.counters(profiler, told.pid)["agent_python_objects_sampled"]
        expected = env.get("PYTHONMALLOC") != "malloc"
        tap.ok((sampled > 1000) == expected, f"{name}: objects are told as {'such' if expected else 'blocks of malloc'}",
               f"{sampled} objects sampled")


def judge_control(tap, profiler, python, truth):
    grow = f"grow {EXACT}"
    with run(profiler, python) as program:
        told = Told(program.process)
        told.tell(grow, "drop", "spprof_agent_stop")
        start = live(profiler, told.pid)
        told.tell(grow)
        stopped = live(profiler, told.pid)
        told.tell("spprof_agent_start", "drop", grow, "drop", grow)
        tap.ok(stopped - start < 0.05 * truth, "spprof_agent_stop() stops objects, too", f"{stopped - start:.0f} bytes")
        full = live(profiler, told.pid)
        # Some come from the interpreter's lists of free objects, made while it was stopped.
        tap.ok(full - start > 0.75 * truth, "and spprof_agent_start() starts them again", f"{full - start:.0f} bytes")
        told.tell("drop")
        before = live(profiler, told.pid)
        told.tell("fork", grow)
        if not profiled.until(lambda: profiled.attached(profiler, told.pid)):
            raise RuntimeError("the child is not known")
        child = live(profiler, told.pid)
        tap.ok(abs(child - before - truth) < 0.05 * truth, "a forked child goes on", f"{child - before:.0f}, in truth {truth}")
        told.tell("drop")
        tap.ok(live(profiler, told.pid) - before < 0.05 * truth, "and what it drops is gone")
    with run(profiler, python, SPPROF_PYTHON_OBJECTS="0") as program:
        told = Told(program.process)
        told.tell(grow)
        counters = profiled.counters(profiler, told.pid)
        tap.ok(counters["agent_python_objects_sampled"] == 0 and counters["agent_samples"] > 0,
               "SPPROF_PYTHON_OBJECTS=0 leaves objects alone", json.dumps(counters))


def judge_refused(tap, profiler, python, name):
    """Where malloc has no room for a sample, arenas may have for the object."""
    if is_free_threaded(python):
        tap.skip(f"{name}: an object that malloc has no room for", "a free-threaded build asks malloc for none")
        return
    with run(profiler, python, preload=[profiled.REFUSER]) as program:
        told = Told(program.process)
        told.tell("refuse 513", f"grow {EXACT}", "refused", "drop")
        tap.ok(True, f"{name}: an object that malloc has no room for comes from an arena")


def judge_sites(tap, profiler, python, name):
    lines = [f"grow {MANY} {kind}" for kind in KINDS]
    truth = dict(zip(KINDS, true_growth(python, *lines)))
    covered, worst = [], 0
    for seed in range(1, RUNS + 1):
        with run(profiler, python, rate=RATE, seed=seed) as program:
            told = Told(program.process)
            told.tell(*lines)
            snapshot = exact_copy(profiler, told.pid)
        folded = snapshot["quality"]["folded_samples"]
        tap.ok(not folded, f"{name}, seed {seed}: each sample is at its site", folded)
        for kind in KINDS:
            value = variance = 0
            for site in snapshot["sites"]:
                if any(function.split(".")[0] == kind for function in profiled.functions_of(snapshot, site)):
                    bytes_ = site["live"]["bytes"]
                    value += bytes_["value"]
                    variance += ((bytes_["high"] - bytes_["low"]) / 3.92) ** 2
            z = (value - truth[kind]) / math.sqrt(variance or 1)
            tap.note(f"{name}, seed {seed}, {kind}: {value / 1e6:.3f} MB, in truth {truth[kind] / 1e6:.3f}, {z:+.2f} deviations")
            covered.append(abs(z) <= 1.96)
            worst = max(worst, abs(z))
    share = sum(covered) / len(covered)
    least = 0.95 - 4 * math.sqrt(0.95 * 0.05 / len(covered))
    tap.ok(worst < 4, f"{name}: each site is within four deviations of the truth", f"{worst:.2f}")
    tap.ok(share >= least, f"{name}: {100 * share:.0f} % of {len(covered)} intervals cover the truth, at least {100 * least:.0f} %")


def main():
    profiled.need()
    pythons = list(profiled.interpreters().items())
    if not pythons:
        profiled.skip_all("no CPython is installed")
    named = len([path for path in os.environ.get("SPPROF_TEST_PYTHONS", "").split(":") if path])
    tap = Tap()
    with profiled.Profiler() as profiler:
        for name, python in pythons if LONG > 1 else pythons[:named or 1]:
            truth, = true_growth(python, f"grow {EXACT}")
            for mode in MODES if LONG else MODES[:1]:
                if is_free_threaded(python) and mode[2].get("PYTHONMALLOC", "debug") != "debug":
                    continue
                judge_mode(tap, profiler, python, f"{name}, {mode[0]}", *mode[1:], truth)
            judge_refused(tap, profiler, python, name)
            if LONG:
                judge_sites(tap, profiler, python, name)
        judge_control(tap, profiler, python, truth)
    if not LONG:
        tap.skip("all modes, other interpreters, and estimates at each site", "SPPROF_LONG is not set")
    tap.done()


main()
