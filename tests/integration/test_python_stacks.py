#!/usr/bin/env python3
"""Python frames in the stacks of samples, against what the interpreter says of itself (TAP): names, files and lines.

usage: test_python_stacks.py [NAME COMMAND]

For each CPython on PATH and in SPPROF_TEST_PYTHONS (paths, separated by colons), or for a command that runs one under an
agent. Reads the worker's segment itself, with
decoders of its own.
"""
import collections
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from profiled import AGENT, BUILD, PYTHONS, SRC, interpreters, need  # noqa: E402
from tap import Tap  # noqa: E402
from worker_segment import Segment  # noqa: E402

EMBEDDER = os.path.join(BUILD, "tests", "programs", "python_embedder")
PROGRAM = os.path.join(SRC, "tests", "programs", "python_kinds.py")
KINDS = ["recursion", "lambda", "property", "getattr", "generator", "coroutine", "sort callback", "metaclass", "exec", "__del__",
         "threads", "GIL released", "many lines", "closure", "exception", "subinterpreter", "greenlet"]
REUSED = 4000
STOP_END = 0
FRAMES, VERSION, LAYOUT = 1, 3, 4  # enum wire_python


class Run:
    """One run of PROGRAM: what it says of its stacks, and what its samples say."""

    def __init__(self, argv, kinds, **env):
        environment = dict(os.environ, LD_PRELOAD=AGENT, SPPROF_SOCKET="/nonexistent", SPPROF_RATE="1M", SPPROF_CEILING="0",
                           SPPROF_AUDIT="0", SPPROF_TEST_KINDS=kinds, SPPROF_TEST_REUSED=str(REUSED), **env)
        self.expected, self.skipped, self.births = {}, {}, {}
        self.process = subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.segment = None
        for line in self.process.stdout:
            self.take(json.loads(line))
        self.process.stdin.close()
        self.process.wait()

    def take(self, said):
        if "frames" in said:
            self.expected[said["size"]] = said["kind"], [tuple(frame) for frame in said["frames"]]
        elif "skip" in said:
            self.skipped[said["skip"]] = said["why"]
        else:
            self.synchronise()

    def synchronise(self):
        if self.segment is None:
            self.segment = Segment(self.process.pid)
        for birth in self.segment.drain():
            self.births[birth["size"]] = birth, self.segment.python_frames(birth)
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self):
        if self.segment:
            self.segment.close()
        self.process.stdout.close()


def compare(expected, got):
    """None, or lines that say where the two differ."""
    if expected == got:
        return None
    lines = [f"{len(expected)} frames by the interpreter, {len(got)} by the agent"]
    for i in range(max(len(expected), len(got))):
        ours, theirs = (frames[i] if i < len(frames) else None for frames in (got, expected))
        lines.append(f"{'  ' if ours == theirs else '! '}{theirs} | {ours}")
    return lines


def is_paired(birth):
    """Behind the outermost group there is still the native frame that called the evaluator, or main's callers."""
    return birth["stop"] != STOP_END or birth["frames"][-1] >> 60 == 0


def judge_kinds(tap, name, run):
    bad, seen = collections.defaultdict(list), collections.Counter()
    for size, (kind, frames) in run.expected.items():
        seen[kind] += 1
        if size not in run.births:
            bad[kind].append(f"no sample of {size} bytes")
            continue
        birth, got = run.births[size]
        bad[kind] += compare(frames, got) or []
        if not is_paired(birth):
            bad[kind].append("frames at the stack's end: their evaluator was not found")
    for kind in KINDS:
        if kind in run.skipped:
            tap.skip(f"{name}: {kind}", run.skipped[kind])
        else:
            tap.ok(seen[kind] and not bad[kind], f"{name}: {kind}: {seen[kind]} stacks as sys._getframe has them", bad[kind])


def judge(tap, name, python):
    run = Run([python, "-X", "utf8", PROGRAM], "all")
    if not run.segment:
        tap.ok(False, f"{name} runs under the agent")
        return
    state, version = run.segment.python()
    tap.ok(state == FRAMES, f"{name} is recognised, as version {version:#x}", f"state {state}")
    judge_kinds(tap, name, run)
    counters = {counter: run.segment.counter(counter) for counter in
                ("python_samples", "python_skipped", "python_unpaired", "codes", "codes_not_kept")}
    tap.ok(counters["python_unpaired"] == 0 and counters["python_skipped"] == 0 and counters["codes_not_kept"] == 0,
           f"{name}: each group of frames has its evaluator, each code is kept", str(counters))
    run.close()
    judge_reused(tap, name, python)


def judge_reused(tap, name, python):
    run = Run([python, "-X", "utf8", PROGRAM], "reused")
    wrong = [size for size, (_, frames) in run.expected.items() if size not in run.births or compare(frames, run.births[size][1])]
    details = [f"{size}: " + "; ".join(compare(run.expected[size][1], run.births[size][1]) if size in run.births else ["none"])
               for size in wrong[:3]]
    tap.ok(len(run.expected) == REUSED and not wrong, f"{name}: of {len(run.expected)} functions at addresses that are used "
           f"again {len(wrong)} have a wrong stack", details)
    run.close()


def judge_off(tap, name, python):
    run = Run([python, PROGRAM], "all", SPPROF_PYTHON="0", PYTHONUTF8="1")
    words = [frame for birth, _ in run.births.values() for frame in birth["frames"] if frame >> 60]
    tap.ok(run.births and not words and run.segment.python()[0] == 2, f"{name}: SPPROF_PYTHON=0 leaves native frames alone")
    run.close()


def shared_library(python):
    """(path of its libpython, its prefix); None if it has no such library."""
    said = subprocess.run([python, "-c", "import os, sys, sysconfig; v = sysconfig.get_config_var; print(os.path.join(v('LIBDIR'), "
                           "v('INSTSONAME') or '')); print(sys.base_prefix)"], capture_output=True, text=True)
    path, prefix = said.stdout.splitlines()
    return (path, prefix) if ".so" in path and os.access(path, os.R_OK) else None


# An interpreter whose symbols nobody else sees finds those of no extension module; it asks the loader all the same.
ALONE = """if True:
    import sys
    try:
        import _ctypes
    except ImportError:
        pass
    block = bytes(64 << 20)
    sys.stdout.write('{"sync": true}' + chr(10))
    sys.stdout.flush()
    sys.stdin.readline()
    """


def judge_embedded(tap, name, python):
    found = shared_library(python)
    if not found:
        tap.skip(f"{name}, embedded", "it has no libpython.so")
        return
    library, prefix = found
    run = Run([EMBEDDER, library, "global", f"__file__ = {PROGRAM!r}; exec(compile(open(__file__).read(), __file__, 'exec'))"],
              "all", PYTHONHOME=prefix, PYTHONUTF8="1")
    wrong = [f"{kind}: {line}" for size, (kind, frames) in run.expected.items()
             for line in (compare(frames, run.births[size][1]) if size in run.births else ["no sample"]) or []]
    tap.ok(run.expected and not wrong, f"{name}, embedded by dlopen: {len(run.expected)} stacks as sys._getframe has them", wrong)
    run.close()
    run = Run([EMBEDDER, library, "local", ALONE], "all", PYTHONHOME=prefix)
    tap.ok(run.segment and run.segment.python()[0] == FRAMES and run.segment.counter("python_samples"),
           f"{name}, embedded by dlopen with RTLD_LOCAL: there are frames")
    run.close()


def judge_others(tap):
    for name, verdict in (("pypy", LAYOUT), ("debug_build", LAYOUT), ("pre_release", VERSION), ("new_version", VERSION),
                          ("old_version", VERSION)):
        run = Run([os.path.join(BUILD, "tests", "programs", "other_" + name)], "all")
        tap.ok(run.segment and run.segment.python()[0] == verdict and run.segment.counter("samples") > 0
               and run.process.returncode == 0, f"an interpreter that is not read is told as such: {name}",
               str(run.segment and run.segment.python()))
        run.close()


def code_of_agent(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps if os.path.realpath(AGENT) in line]
    return [tuple(int(end, 16) for end in line[0].split("-")) for line in lines if "x" in line[1]]


LARGE = """
import sys
for line in sys.stdin:
    kept = [bytes(100000 + i) for i in range(20)]
    print("done", flush=True)
"""


def judge_large(tap, name, python):
    """What malloc samples of an object that has come to it through the agent's hooks of the interpreter."""
    env = dict(os.environ, LD_PRELOAD=AGENT, SPPROF_SOCKET="/nonexistent", SPPROF_RATE="1", SPPROF_CEILING="0", SPPROF_AUDIT="0")
    with subprocess.Popen([python, "-S", "-c", LARGE], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        births = []
        for _ in range(2):
            process.stdin.write(b"go\n")
            process.stdin.flush()
            process.stdout.readline()
            segment = Segment(process.pid)
            births = [birth for birth in segment.drain() if birth["size"] > 100000]
            segment.close()
        code = code_of_agent(process.pid)
        process.stdin.close()
    inside = [birth for birth in births if any(begin <= word < end for word in birth["frames"] for begin, end in code)]
    tap.ok(births and code and not inside, f"{name}: large objects have no frame of the agent",
           f"{len(inside)} of {len(births)} have, {len(code)} parts of code")


def main():
    need()
    tap = Tap()
    if sys.argv[1:]:
        for judged in judge, judge_off:
            judged(tap, *sys.argv[1:])
        tap.done()
        return
    found = interpreters()
    for version in PYTHONS:
        if not any(re.match(rf"CPython {re.escape(version)}\.", name) for name in found):
            tap.skip(f"CPython {version}", "not on PATH, not in SPPROF_TEST_PYTHONS")
    for name, python in found.items():
        if re.match(r"CPython 3\.(9|1[0-4])\.", name):
            judge(tap, name, python)
            judge_large(tap, name, python)
            judge_embedded(tap, name, python)
    for name, python in list(found.items())[:1]:
        judge_off(tap, name, python)
    judge_others(tap)
    tap.done()


main()
