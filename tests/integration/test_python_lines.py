#!/usr/bin/env python3
"""What a person sees of a Python program (TAP): the line that leaks, and what Python called in C below its lines.

For python3 on the PATH, Debian's, and those in SPPROF_TEST_PYTHONS (paths, separated by colons).
"""
import collections
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

PROGRAM = os.path.join(profiled.SRC, "tests", "programs", "python_leak.py")
RATE = "8K"
# What Python calls from a marked line: a part of the name of the file in which its code is; "": Python's own.
CALLED = {"zlib": "libz.", "json": "_json", "re": "", "sqlite3": "libsqlite3", "numpy": "_multiarray_umath", "pandas": ""}
IMPORT = "<frozen importlib._bootstrap"


def marked_lines():
    """{comment at a line's end: its number}"""
    with open(PROGRAM, encoding="utf-8") as file:
        return {found[1]: number for number, line in enumerate(file, 1) if (found := re.search(r"  # (\w+)$", line))}


def version_of(python):
    code = "import platform, ssl, sqlite3, zlib, json; print(platform.python_implementation(), platform.python_version())"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError as error:
        return None, str(error)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["it fails"])[-1]
    version = done.stdout.strip()
    known = re.fullmatch(r"CPython 3\.(9|1[0-4])\.\d+", version)
    return (version, "") if known else (None, f"it is {version}")


class Stacks:
    """A snapshot's stacks as tuples of (is Python's, function, file or module, line), innermost first: live bytes."""

    def __init__(self, document):
        self.modules = [module["path"] for module in document["modules"]]
        self.bytes = collections.Counter()
        frames = [self.describe(frame) for frame in document["frames"]]
        for site in document["sites"]:
            self.bytes[tuple(frames[i] for i in site["stack"])] += site["live"]["bytes"]["value"]

    def describe(self, frame):
        place = frame["file"] if frame["python"] else self.modules[frame["module"]] if frame["module"] is not None else ""
        return frame["python"], frame["function"], place, frame["line"]

    def at(self, line):
        """Stacks whose innermost frame in the program is at this line."""
        for stack in self.bytes:
            ours = [frame for frame in stack if frame[0] and frame[2] == PROGRAM]
            if ours and ours[0][3] == line:
                yield stack


def folded(stacks):
    """What the daemon ought to make of stacks with all frames."""
    internal = set()
    for stack in stacks.bytes:
        internal |= {inner[2] for inner, outer in zip(stack, stack[1:]) if outer[0] and not inner[0]}
    internal |= {profiled.AGENT}
    result = collections.Counter()
    for stack, size in stacks.bytes.items():
        if any(frame[0] for frame in stack):
            stack = [frame for frame in stack if frame[0] or frame[2] not in internal]
        row = []
        for frame in stack:
            if frame[0] and frame[2].startswith(IMPORT):
                frame = (True, "[import]", "", 0)
                if row and row[-1] == frame:
                    continue
            row.append(frame)
        result[tuple(row)] += size
    return internal, result


def judge_text(tap, name, text, lines):
    """The first row's name is the line that leaks, and who called it."""
    rows = [line for line in text.splitlines() if "python_leak.py:" in line]
    place, caller = f"python_leak.py:{lines['leak']}", f"python_leak.py:{lines['caller']}"
    tap.ok(len(rows) >= 2 and "remember" in rows[0] and rows[0].endswith(place) and rows[1].endswith(caller)
           and "<- work" in rows[1], f"{name}: the first row is the line that leaks, under its caller's", text)


def judge_called(tap, name, stacks, lines, modules):
    for marker, module in CALLED.items():
        if marker in ("numpy", "pandas") and marker not in modules:
            tap.skip(f"{name}: {marker} below its line", f"this Python has no {marker}")
            continue
        found = list(stacks.at(lines[marker]))
        native = [stack for stack in found if not stack[0][0] and module in os.path.basename(stack[0][2])]
        tap.ok(found and (native or not module), f"{name}: {marker} below its line", [str(stack) for stack in list(found)[:3]])


def is_confirmed(profiler, pid):
    """Nothing is missing of its heap, or all of it has been told again."""
    return not profiler.snapshot(pid)["quality"]["unconfirmed"]


def judge(tap, profiler, python, name):
    lines = marked_lines()
    with profiler.run([python, PROGRAM], rate=RATE, stdout=subprocess.PIPE) as program:
        modules = program.process.stdout.readline().decode().split()
        profiled.until(lambda: is_confirmed(profiler, program.pid))
        judge_text(tap, name, profiler.ctl("snapshot", program.pid).stdout.decode(), lines)
        stacks = Stacks(profiler.snapshot(program.pid, "--timeout", 30))
        judge_called(tap, name, stacks, lines, modules)
        everything = Stacks(profiler.snapshot(program.pid, "--timeout", 30, "--native-internals"))
        internal, expected = folded(everything)
        tap.ok(len(internal) == 2, f"{name}: the interpreter is in one file, {', '.join(sorted(internal - {profiled.AGENT}))}")
        different = {stack for stack in {*expected, *stacks.bytes} if abs(expected[stack] - stacks.bytes[stack]) > 16}
        tap.ok(not different, f"{name}: without internals there is what internals are left out of",
               [f"{expected[stack]} {stacks.bytes[stack]} {stack}" for stack in list(different)[:3]])
        stats = profiler.stats(program.pid)
        tap.ok(stats["python"].startswith(name + ": frames in stacks"), f"{name}: statistics name it", stats["python"])
        counters = stats["counters"]
        tap.ok(counters["python_frames_seen"] > counters["agent_python_samples"] > 1000
               and counters["python_frames_unknown"] == 0, f"{name}: every function is known", str(counters))
        pid = program.pid
        program.end()
    ended = Stacks(profiler.snapshot(pid))
    tap.ok(any(frame[2] == PROGRAM for stack in ended.bytes for frame in stack), f"{name}: lines are known when it has ended")


def main():
    profiled.need("python3")
    tap = Tap()
    pythons = [shutil.which("python3"), "/usr/bin/python3", *os.environ.get("SPPROF_TEST_PYTHONS", "").split(":")]
    seen = set()
    with profiled.Profiler() as profiler:
        for python in filter(None, pythons):
            version, why = version_of(python)
            if not version:
                tap.skip(f"lines of {python}", why)
            elif version not in seen:
                seen.add(version)
                judge(tap, profiler, python, version)
    tap.done()


main()
