#!/usr/bin/env python3
"""Minutes of allocations as fast as they come (TAP): nobody grows, nothing drifts, the copy stays the map.

usage: endurance.py [--seconds N] [--threads N]
"""
import argparse
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

LOOP = os.path.join(profiled.BUILD, "tests", "bench", "hot_loop")
STEADY = 10  # seconds after which nobody has a reason to grow


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(next(line.split()[1] for line in file if line.startswith("VmRSS:")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args()
    profiled.need()
    tap = Tap()
    with profiled.Profiler() as profiler:
        # More operations than can be done in the time: the loop is ended when it is over.
        with profiler.run([LOOP, "-t", str(options.threads), "pair", str(10**12)], rate="512K", ceiling=2000,
                          stdout=subprocess.DEVNULL) as program:
            worker, daemon = [], []
            begin = time.monotonic()
            while time.monotonic() - begin < options.seconds and program.process.poll() is None:
                time.sleep(1)
                worker.append(resident_kib(program.pid))
                daemon.append(resident_kib(profiler.daemon.pid))
            tap.ok(program.process.poll() is None, "the program runs on")
            counters = profiled.counters(profiler, program.pid)
            snapshot = profiler.snapshot(program.pid)
        seconds = time.monotonic() - begin
    allocations = snapshot["totals"]["cumulative"]["objects"]["value"]
    tap.note(f"{allocations / seconds / 1e6:.1f} million allocations a second for {seconds:.0f} s, "
             f"{counters['agent_samples']:.0f} samples, interval {counters['agent_interval_bytes'] / 1024:.0f} KiB in the end")
    tap.note(f"worker {worker[STEADY]} KiB resident after {STEADY} s, {worker[-1]} KiB in the end; spprofd {daemon[STEADY]} and "
             f"{daemon[-1]} KiB")
    tap.ok(allocations / seconds > 1e6, "more than a million allocations a second")
    tap.ok(worker[-1] - worker[STEADY] <= 256, "the worker does not grow")
    tap.ok(daemon[-1] - daemon[STEADY] <= 2048, "spprofd does not grow")
    tap.ok(counters["agent_live_samples"] <= 64 * options.threads, "what is freed does not pile up", str(counters))
    tap.ok(not snapshot["quality"]["unconfirmed"], "the copy is confirmed", snapshot["quality"]["unconfirmed_reason"])
    tap.ok(snapshot["quality"]["lost_samples"] < counters["agent_samples"] / 100, "hardly anything is lost",
           str(snapshot["quality"]))
    tap.done()


main()
