#!/usr/bin/env python3
"""CPU time of whole programs under the agent and under other heap profilers, all at 512 KiB, as tables.

usage: peers.py [--rounds N] [--programs NAME,...]      redis, sqlite, python and cc1 by default

All configurations of a program run by turns; figures are medians over rounds. "bare again" is the same as "bare":
what it differs by is what this machine cannot tell apart. A profiler that comes with an allocator is compared with
that allocator, its profiler off. heaptrack is its recorder alone, which writes to /dev/null. CPU time is that of the
program, for redis of the server; its throughput is that of redis-benchmark. No verdicts: timings differ between
machines.
"""
import argparse
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

import measured
from measured import profiled

COMMANDS = ["set", "get", "lpush", "hset"]
REQUESTS = 200000  # of each
BARE, FLOOR, OURS, HEAPTRACK = "bare", "empty preload", "spprof", "heaptrack"


def configurations(profiler, more):
    """(name, what it is compared with, environment)"""
    yield BARE, BARE, dict(os.environ, **more)
    yield "bare again", BARE, dict(os.environ, **more)
    yield FLOOR, BARE, measured.forwarder_env(**more)
    yield OURS, BARE, profiler.env(rate="512K", **more)
    if measured.HEAPTRACK:
        yield HEAPTRACK, BARE, measured.heaptrack_env(**more)
    if measured.JEMALLOC:
        yield "jemalloc", "jemalloc", measured.jemalloc_env(**more)
        yield "jemalloc, profiling", "jemalloc", measured.jemalloc_env(19, **more)
    if measured.TCMALLOC:
        yield "gperftools", "gperftools", measured.tcmalloc_env(**more)
        yield "gperftools, profiling", "gperftools", measured.tcmalloc_env(512 << 10, **more)


def note_missing():
    for path, package in ((measured.HEAPTRACK, "heaptrack"), (measured.JEMALLOC, "libjemalloc2"),
                          (measured.TCMALLOC, "libgoogle-perftools4")):
        if not path:
            measured.note(f"skipped: {package} is not installed")


def wait_for(path, process):
    """Until the server listens."""
    while process.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
                return
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.001)
    raise RuntimeError("redis-server has ended")


def run_redis(env, directory):
    """(CPU seconds of the server, requests per second)"""
    path = os.path.join(directory, "redis.sock")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                               "--loglevel", "warning", "--dir", directory], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(path, server)
        start = time.monotonic()
        subprocess.run(["redis-benchmark", "-s", path, "-t", ",".join(COMMANDS), "-n", str(REQUESTS), "-r", "100000",
                        "-d", "200", "-P", "64", "-q"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        elapsed = time.monotonic() - start
    finally:
        server.terminate()
        _, status, usage = os.wait4(server.pid, 0)
        server.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, len(COMMANDS) * REQUESTS / elapsed


def command(argv, more):
    return lambda env, _: (measured.run(env, argv)[0], None), more


PROGRAMS = {
    "redis": (["redis-server", "redis-benchmark"], lambda _: (run_redis, {})),
    "sqlite": (["sqlite3"], lambda _: command(*measured.sqlite_program(12))),
    "python": (["/usr/bin/python3"], lambda _: command(*measured.python_program(20))),
    "cc1": (["gcc"], lambda directory: command(*measured.cc1_program(directory, 120))),
}


def measure(profiler, run, more, rounds, directory):
    figures = {name: [] for name, _, _ in configurations(profiler, more)}
    for name, _, env in measured.turns(configurations(profiler, more), rounds):
        figures[name].append(run(env, directory))
    return figures


def excess_of(figures, name, against):
    """Of CPU time: the median of the rounds' differences, for what slows the machine slows a round."""
    return statistics.median(ours[0] - theirs[0] for ours, theirs in zip(figures[name], figures[against]))


def row_of(name, against, figures):
    def median(of):
        return statistics.median(seconds for seconds, _ in figures[of])
    row = [name, f"{median(name):.3f}", f"{measured.spread([seconds for seconds, _ in figures[name]]):.3f}",
           f"{median(name) / median(BARE):.3f}"]
    excess = excess_of(figures, name, against)
    row.append("" if name == against else f"{100 * excess / median(against):+.1f} %")
    recorder = excess_of(figures, HEAPTRACK, BARE) if HEAPTRACK in figures else 0
    row.append(f"{excess / recorder:.3f}" if recorder > 0 and name != against else "")
    rates = [rate for _, rate in figures[name]]
    if rates[0]:
        floor = statistics.median(rate for _, rate in figures[FLOOR])
        row += [f"{statistics.median(rates):.0f}", f"{statistics.median(rates) / floor:.3f}"]
    return row


def print_program(name, needed, prepare, rounds):
    missing = [program for program in needed if not shutil.which(program)]
    if missing:
        measured.note(f"{name} is skipped: {', '.join(missing)} is not installed")
        return
    with profiled.Profiler() as profiler, tempfile.TemporaryDirectory(prefix="spprof-peers-") as directory:
        run, more = prepare(directory)
        figures = measure(profiler, run, more, rounds, directory)
        head = ["", "CPU s", "±", "to bare", "over what it is compared with", "of heaptrack's excess"]
        head += ["requests/s", "to the empty preload's"] if figures[BARE][0][1] else []
        measured.print_table(f"{name}, {rounds} round{'s' if rounds > 1 else ''}", head, [row_of(configuration, against, figures) for
                             configuration, against, _ in configurations(profiler, more)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    arguments = parser.parse_args()
    names = arguments.programs.split(",")
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(PROGRAMS)}")
    measured.need()
    note_missing()
    for name in names:
        print_program(name, *PROGRAMS[name], arguments.rounds)


main()
