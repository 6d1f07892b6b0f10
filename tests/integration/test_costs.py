#!/usr/bin/env python3
"""What the agent costs its host, as far as it can be counted (TAP): thread-local storage, stack, frees that reach the
map, and instructions of whole programs over an empty forwarding preload.

test_instructions.sh counts single operations, test_syscalls.sh system calls; what only a clock can tell is in
tests/bench. SPPROF_STRESS=N makes the whole programs N times as long.
"""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import measured  # noqa: E402
from measured import profiled  # noqa: E402
from tap import Tap  # noqa: E402

TLS_BYTES = 64
STACK_BYTES = 1024
STACK_DEPTH = 27  # and three frames that are there without it
LIVE_SAMPLES = 50000
FREES = 200000
REACH_MAP = 0.01
RATE = "512K"


def judge_tls(tap):
    text = subprocess.run(["readelf", "-lW", profiled.AGENT], capture_output=True, text=True, check=True).stdout
    segment = re.search(r"^\s*TLS\s+(?:0x\w+\s+){4}0x(\w+)", text, re.M)
    size = int(segment[1], 16) if segment else 0
    tap.ok(0 < size <= TLS_BYTES, f"{size} bytes of thread-local storage, at most {TLS_BYTES}")


def judge_stack(tap, profiler):
    """In bytes below the caller of malloc, of which every call is sampled; without the agent the allocator's own."""
    words = [measured.SAMPLE_COST, "1", str(STACK_DEPTH)]
    ours = measured.said(profiler.env(rate=1), words)
    floor = measured.said(measured.forwarder_env(), words)
    tap.note(f"stack of an allocation: {floor['stack_bytes']} bytes by the allocator alone, "
             f"{ours['first_stack_bytes']} in the first sampled one at a call site")
    tap.ok(floor["stack_bytes"] < ours["stack_bytes"] <= STACK_BYTES,
           f"{ours['stack_bytes']} bytes of stack for a sampled allocation of 30 frames, at most {STACK_BYTES}")


def judge_filter(tap, profiler):
    words = [measured.HOT_LOOP, "-w", "-l", str(LIVE_SAMPLES), "scatter", str(FREES)]
    with profiler.run(words, rate=1, stdout=subprocess.PIPE) as program:
        program.process.stdout.readline()
        counters = profiler.stats(program.pid)["counters"]
        program.end()
    samples, reached = counters["agent_samples"], counters["agent_filter_false_positives"]
    tap.ok(samples >= LIVE_SAMPLES, f"at least {LIVE_SAMPLES} blocks are sampled", f"{samples} are")
    tap.ok(reached <= REACH_MAP * FREES, f"{100 * reached / FREES:.2f} % of unsampled frees reach the map with "
           f"{LIVE_SAMPLES} live samples, at most {100 * REACH_MAP:g} %")


def programs():
    """(name, what it needs, command, environment, most instructions over the forwarder's)"""
    times = int(os.environ.get("SPPROF_STRESS", "1"))
    yield ("a C++ program", None, *measured.stl_program(2 * times), 1.03)
    yield ("python3, PYTHONMALLOC=malloc", "/usr/bin/python3", *measured.python_program(times), 1.015)
    yield ("sqlite3", "sqlite3", *measured.sqlite_program(times), 1.006)


def judge_programs(tap, profiler):
    for name, needed, argv, env, most in programs():
        if needed and not shutil.which(needed):
            tap.skip(f"{name}: instructions at {RATE}", f"{needed} is not installed")
            continue
        floor = measured.count(measured.forwarder_env(**env), argv)["Ir"]
        ours = measured.count(profiler.env(rate=RATE, seed=1, **env), argv)["Ir"]
        tap.ok(ours <= most * floor, f"{name}: {ours / floor:.4f} times the instructions of an empty forwarder's "
               f"{floor / 1e6:.0f} million at {RATE}, at most {most}")


def main():
    measured.need()
    tap = Tap()
    judge_tls(tap)
    with profiled.Profiler() as profiler:
        judge_stack(tap, profiler)
        judge_filter(tap, profiler)
        if shutil.which("valgrind"):
            judge_programs(tap, profiler)
        else:
            tap.skip(f"whole programs at {RATE}", "valgrind is not installed")
    tap.done()


main()
