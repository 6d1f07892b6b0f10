#!/usr/bin/env python3
"""CPU time of whole programs under the agent and under other heap profilers, all at 512 KiB, as tables.

usage: peers.py [--rounds N] [--programs NAME,...] [--counted]      redis, sqlite, python and cc1 by default

All configurations of a program run by turns; figures are medians over rounds. "bare again" is the same as "bare":
what it differs by is what this machine cannot tell apart. A profiler that comes with an allocator is compared with
that allocator, its profiler off. heaptrack is its recorder alone, which writes to /dev/null. CPU time is that of the
program, for redis of the server; its throughput is that of redis-benchmark. No verdicts: timings differ between
machines. With --counted it is instructions of one run, by callgrind, of less work: a busy machine does not change them.
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
COUNTED_REQUESTS = 20000
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


def serve(env, directory, requests, prefix=(), **options):
    """(the server, the seconds that redis-benchmark took): the server has been told to end."""
    path = os.path.join(directory, "redis.sock")
    env, argv = measured.preloaded_by_loader(env, ["redis-server"]) if prefix else (env, ["redis-server"])
    server = subprocess.Popen([*prefix, *argv, "--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no",
                               "--loglevel", "warning", "--dir", directory], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, **options)
    try:
        wait_for(path, server)
        start = time.monotonic()
        subprocess.run(["redis-benchmark", "-s", path, "-t", ",".join(COMMANDS), "-n", str(requests), "-r", "100000",
                        "-d", "200", "-P", "64", "-q"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
        return server, time.monotonic() - start
    finally:
        server.terminate()


def run_redis(env, directory):
    """(CPU seconds of the server, requests per second)"""
    server, elapsed = serve(env, directory, REQUESTS, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(server.pid, 0)
    server.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, len(COMMANDS) * REQUESTS / elapsed


def count_redis(env, directory):
    server, _ = serve(env, directory, COUNTED_REQUESTS, measured.CALLGRIND, stderr=subprocess.PIPE, text=True)
    events = measured.counted(server.communicate()[1])
    if not events:
        raise RuntimeError("callgrind has counted nothing of redis-server")
    return events["Ir"]


def command(argv, more):
    return lambda env, _: (measured.run(env, argv)[0], None), more


def counted_command(argv, more):
    return lambda env, _: measured.count(*measured.preloaded_by_loader(env, argv))["Ir"], more


PROGRAMS = {
    "redis": (["redis-server", "redis-benchmark"], lambda _: (run_redis, {}), lambda _: (count_redis, {})),
    "sqlite": (["sqlite3"], lambda _: command(*measured.sqlite_program(12)),
               lambda _: counted_command(*measured.sqlite_program(3))),
    "python": (["/usr/bin/python3"], lambda _: command(*measured.python_program(20)),
               lambda _: counted_command(*measured.python_program(3))),
    "cc1": (["gcc"], lambda directory: command(*measured.cc1_program(directory, 120)),
            lambda directory: counted_command(*measured.cc1_program(directory, 60))),
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


def print_program(name, run, more, rounds, directory):
    with profiled.Profiler() as profiler:
        figures = measure(profiler, run, more, rounds, directory)
        head = ["", "CPU s", "±", "to bare", "over what it is compared with", "of heaptrack's excess"]
        head += ["requests/s", "to the empty preload's"] if figures[BARE][0][1] else []
        measured.print_table(f"{name}, {rounds} round{'s' if rounds > 1 else ''}", head, [row_of(configuration, against, figures) for
                             configuration, against, _ in configurations(profiler, more)])


def counted_row(name, against, counts):
    ours, floor = counts[name], counts[against]
    recorder = counts.get(HEAPTRACK, 0) - counts[BARE]
    return [name, f"{ours / 1e6:.1f}", f"{ours / counts[BARE]:.4f}", "" if name == against else f"{100 * (ours / floor - 1):+.2f} %",
            f"{(ours - floor) / recorder:.4f}" if recorder > 0 and name != against else "", f"{counts[FLOOR] / ours:.4f}"]


def print_counted(name, run, more, directory):
    with profiled.Profiler() as profiler:
        counts = {each: run(env, directory) for each, _, env in configurations(profiler, more)}
        head = ["", "million instructions", "to bare", "over what it is compared with", "of heaptrack's excess",
                "the empty preload's to these"]
        measured.print_table(f"{name}, counted", head, [counted_row(each, against, counts) for each, against, _ in
                                                        configurations(profiler, more)])


def compare(name, rounds, by_count):
    needed, timed, counted = PROGRAMS[name]
    missing = [program for program in needed + ["valgrind"] * by_count if not shutil.which(program)]
    if missing:
        measured.note(f"{name} is skipped: {', '.join(missing)} is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="spprof-peers-") as directory:
        if by_count:
            print_counted(name, *counted(directory), directory)
        else:
            print_program(name, *timed(directory), rounds, directory)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--programs", default=",".join(PROGRAMS))
    parser.add_argument("--counted", action="store_true")
    arguments = parser.parse_args()
    names = arguments.programs.split(",")
    unknown = [name for name in names if name not in PROGRAMS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: not one of {', '.join(PROGRAMS)}")
    measured.need()
    note_missing()
    for name in names:
        compare(name, arguments.rounds, arguments.counted)


main()
