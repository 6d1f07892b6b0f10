#!/usr/bin/env python3
"""A Python program from start to post-mortem (TAP): list, snapshot in every format, stats, the end of the process."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

BLOCK, COUNT, RATE = 40000, 2000, 65536
# Freed by halves on demand, so that the test can look in between.
PROGRAM = f"""
import sys
blocks = [bytes({BLOCK}) for _ in range({COUNT})]
print("full", flush=True)
sys.stdin.readline()
del blocks[::2]
print("half", flush=True)
sys.stdin.readline()
"""


def await_line(program, word):
    line = program.process.stdout.readline().decode().strip()
    if line != word:
        raise RuntimeError(f"the program said {line!r}, not {word!r}")


def go_on(program):
    program.process.stdin.write(b"\n")
    program.process.stdin.flush()


def site_of_blocks(snapshot):
    """The site at which bytes() allocates: the one with most bytes since the start."""
    return max(snapshot["sites"], key=lambda site: site["cumulative"]["bytes"]["value"])


def check_live(tap, snapshot, blocks, name):
    live = site_of_blocks(snapshot)["live"]["bytes"]
    truth = blocks * (BLOCK + 33)  # an object's header and the final zero
    error = (live["high"] - live["low"]) / (2 * 1.96)
    tap.note(f"{name}: {live['low']} … {live['value']} … {live['high']}, truth {truth}")
    tap.ok(abs(live["value"] - truth) <= 4 * error, f"{name}: the estimate is within four standard errors")


def check_formats(tap, profiler, pid, directory):
    files = {name: os.path.join(directory, "snapshot." + name) for name in
             ("json", "pprof", "collapsed", "speedscope", "text")}
    for name, path in files.items():
        profiler.ctl("snapshot", pid, "-f", name, "-o", path, "--native-internals")
        tap.ok(os.path.getsize(path) > 100, f"a snapshot can be had as {name}")
    with open(files["collapsed"], encoding="utf-8") as file:
        tap.ok(all(line.rstrip("\n").rsplit(" ", 1)[1].isdigit() for line in file), "collapsed lines end in a number")
    with open(files["speedscope"], encoding="utf-8") as file:
        profile = json.load(file)["profiles"][0]
        tap.ok(len(profile["samples"]) == len(profile["weights"]) > 0, "speedscope has a weight for each stack")
    with open(files["text"], encoding="utf-8") as file:
        tap.ok("python3" in file.read(), "the text names the program")
    check_pprof(tap, files["pprof"], directory)


def check_pprof(tap, path, directory):
    if not shutil.which("go"):
        tap.skip("go tool pprof reads the profile", "go is not installed")
        return
    env = dict(os.environ, HOME=directory, PPROF_TMPDIR=directory)
    for option, wanted in (("-top", "_PyEval_EvalFrameDefault"), ("-raw", "inuse_space/bytes")):
        result = subprocess.run(["go", "tool", "pprof", option, "-sample_index=inuse_space", path], env=env,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        tap.ok(result.returncode == 0 and wanted in result.stdout, f"go tool pprof {option} reads the profile",
               result.stderr + result.stdout[:2000])


def main():
    profiled.need("/usr/bin/python3")
    tap = Tap()
    with profiled.Profiler() as profiler, tempfile.TemporaryDirectory() as directory:
        with profiler.run(["/usr/bin/python3", "-c", PROGRAM], rate=RATE, seed=1, stdout=subprocess.PIPE) as program:
            await_line(program, "full")
            pids = [p["pid"] for p in json.loads(profiler.ctl("list", "--json").stdout)["processes"]]
            tap.ok(program.pid in pids, "the program is listed", f"listed: {pids}")
            full = profiler.snapshot(program.pid)
            check_live(tap, full, COUNT, "with all blocks")
            tap.ok(not profiled.losses(full), "nothing is lost", profiled.losses(full))
            stacks = full["quality"]
            tap.ok(stacks["stacks_whole"] > 0 and stacks["stacks_truncated"] == 0, "stacks are whole", str(stacks))
            check_formats(tap, profiler, program.pid, directory)

            go_on(program)
            await_line(program, "half")
            half = profiler.snapshot(program.pid)
            check_live(tap, half, COUNT / 2, "with half of them freed")
            stats = profiler.stats(program.pid)
            tap.ok(stats["counters"], "stats have counters")

            go_on(program)
            program.process.wait()
        last = profiler.snapshot(program.pid)
        tap.ok(last["process"]["exited"], "the process is known after its end")
        tap.ok(site_of_blocks(last)["cumulative"]["samples"] >= site_of_blocks(full)["cumulative"]["samples"],
               "its last state is kept")
        gone = profiler.ctl("list", "--json")
        tap.ok(program.pid not in [p["pid"] for p in json.loads(gone.stdout)["processes"]],
               "a list without --all leaves it out")
    tap.done()


main()
