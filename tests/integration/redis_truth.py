#!/usr/bin/env python3
"""redis with many keys of mixed sizes, against the truth of a counting preload (TAP).

usage: redis_truth.py [--runs N] [--keys N] [--keep DIR] [--json FILE]

The counter (tests/programs/count_preload.c) stands behind the agent, so both see the same calls, and jemalloc,
which Debian's redis is linked with, behind both. Each run's live bytes must lie within four standard errors of
the truth, and of many runs' 95 % intervals enough must cover it. redis's own used_memory is printed beside it:
that is usable, not requested size.
"""
import argparse
import json
import math
import os
import random
import socket
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

RATE = "64K"
BATCH = 10000


class Redis:
    """One connection that speaks just enough RESP."""

    def __init__(self, path, program):
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                self.socket.close()
                if program.process.poll() is not None:
                    raise RuntimeError("redis-server has ended") from None
        self.file = self.socket.makefile("rb")

    @staticmethod
    def encode(*words):
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)

    def info(self, key):
        self.socket.sendall(self.encode(b"INFO", b"memory"))
        size = int(self.file.readline()[1:])
        text = self.file.read(size + 2).decode()
        return int(next(line.split(":")[1] for line in text.splitlines() if line.startswith(key + ":")))

    def fill(self, keys, seed):
        """SET with values of 8 to 2,000 bytes, small ones more often."""
        dice = random.Random(seed)
        value = b"v" * 2000
        for first in range(0, keys, BATCH):
            count = min(BATCH, keys - first)
            self.socket.sendall(b"".join(
                self.encode(b"SET", b"key:%09d" % key, value[:int(8 * 250 ** dice.random())])
                for key in range(first, first + count)))
            for _ in range(count):
                if self.file.readline() != b"+OK\r\n":
                    raise RuntimeError("redis refuses a key")


def start(profiler, counter, directory, seed):
    path = os.path.join(directory, "redis.sock")
    argv = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--loglevel",
            "warning", "--dir", directory, "--activerehashing", "no", "--maxmemory", "0"]
    return path, profiler.run(argv, rate=RATE, seed=seed, preload=[profiled.COUNTER],
                              environment={"COUNT_FILE": counter.path}, stdout=profiled.subprocess.DEVNULL)


def share_named(snapshot):
    """Of the live bytes, the share at sites with a function of redis itself; and these functions."""
    modules, frames = snapshot["modules"], snapshot["frames"]
    own = {i for i, frame in enumerate(frames)
           if frame["resolved"] and frame["module"] is not None
           and os.path.basename(modules[frame["module"]]["path"]).startswith("redis")}
    named = sum(s["live"]["bytes"]["value"] for s in snapshot["sites"] if own & set(s["stack"]))
    live = [s for s in snapshot["sites"] if s["live"]["samples"]]
    return named / snapshot["totals"]["live"]["bytes"]["value"], {frames[i]["function"] for s in live for i in s["stack"]}


def one_run(profiler, keys, seed):
    with tempfile.TemporaryDirectory(prefix="spprof-redis-") as directory:
        counter = profiled.Counter(directory)
        path, program = start(profiler, counter, directory, seed)
        with program:
            redis = Redis(path, program)
            redis.fill(keys, seed)
            used = redis.info("used_memory")
            before = counter.read()[0]
            snapshot = profiler.snapshot(program.pid, "--timeout", "30")
            after = counter.read()[0]
            program.process.terminate()
            program.process.wait()
    live = snapshot["totals"]["live"]["bytes"]
    named, functions = share_named(snapshot)
    return {"truth": (before + after) / 2, "moved": abs(after - before), "used_memory": used, "value": live["value"],
            "low": live["low"], "high": live["high"], "samples": snapshot["totals"]["live"]["samples"],
            "lost": profiled.losses(snapshot), "named": named, "functions": sorted(functions)}


def judge_run(tap, seed, run):
    error = (run["high"] - run["low"]) / (2 * 1.96)
    off = run["value"] - run["truth"]
    tap.note(f"seed {seed}: truth {run['truth'] / 1e6:.2f} MB, estimate {run['value'] / 1e6:.2f} MB "
             f"({100 * off / run['truth']:+.2f} %, {off / error:+.2f} standard errors, {run['samples']} samples), "
             f"used_memory {run['used_memory'] / 1e6:.2f} MB, {100 * run['named']:.1f} % at sites named in redis")
    tap.ok(not run["lost"], f"run {seed}: nothing is lost", run["lost"])
    tap.ok(run["moved"] < 0.001 * run["truth"], f"run {seed}: the heap stands still during the snapshot")
    tap.ok(abs(off) <= 4 * error, f"run {seed}: live bytes are within four standard errors of the truth")
    tap.ok(run["named"] > 0.9, f"run {seed}: redis's own functions are named")
    known = {"sdsnewlen", "_sdsnewlen", "createStringObject", "createEmbeddedStringObject", "dictAddRaw", "dbAdd",
             "setGenericCommand", "processCommand", "call"}
    tap.ok(len(known.intersection(run["functions"])) >= 3, f"run {seed}: among them those that hold keys and values",
           f"known by name: {sorted(known.intersection(run['functions']))}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=int(os.environ.get("SPPROF_REDIS_RUNS", "1")))
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--keys", type=int, default=int(os.environ.get("SPPROF_REDIS_KEYS", "100000")))
    parser.add_argument("--keep", help="folder in which finished runs are kept and found again")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    profiled.need("redis-server")
    tap = Tap()
    runs = []
    with profiled.Profiler() as profiler:
        for seed in range(arguments.first, arguments.first + arguments.runs):
            runs.append(profiled.kept(arguments.keep, seed, lambda seed: one_run(profiler, arguments.keys, seed)))
            judge_run(tap, seed, runs[-1])
    covered = sum(run["low"] <= run["truth"] <= run["high"] for run in runs)
    # Four standard errors below what sound intervals give; with 40 runs that is 33, and 35 are asked for.
    needed = 35 if len(runs) == 40 else math.floor(0.95 * len(runs) - 4 * math.sqrt(len(runs) * 0.95 * 0.05))
    tap.ok(covered >= needed, f"{covered} of {len(runs)} intervals cover the truth, at least {max(needed, 0)} must")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"keys": arguments.keys, "rate": RATE, "covered": covered, "runs": runs}, file, indent=1)
    tap.done()


main()
