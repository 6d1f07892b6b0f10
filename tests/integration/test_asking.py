#!/usr/bin/env python3
"""Asking what a process is holds up nobody (TAP): helpers that stall or die when one attaches, names new code, or the daemon comes later.

The daemon starts a script in the helper's place, which stops itself before it becomes the real one: as if the process
made the kernel wait, for as long as the test likes.
"""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from profiled import PATIENCE, attached, exact, until  # noqa: E402
from tap import Tap  # noqa: E402
from test_readings import Helpers, runs  # noqa: E402

ONCE = "mkdir {d}/first 2>/dev/null && kill -STOP $$"


def asked(profiler, name):
    found = profiler.ctl("stats").stdout.decode().splitlines()
    return sum(int(line.split()[1]) for line in found if line.split()[:1] == [name])


def commanded(profiler, worker):
    found = attached(profiler, worker.program.pid)
    return found and "steered" in found[0]["command_line"]


def attaching(tap):
    with Helpers("[ -e {d}/fine ] || kill -STOP $$", profiled.PROC_READER) as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as first:
        helper = until(helpers.stopped)
        tap.ok(helper, "processes make wait whoever asks what they are")
        truth = first.tell("keep 100 300")
        found = until(lambda: attached(profiler, first.program.pid))
        tap.ok(found and found[0]["comm"] == "steered" and not found[0].get("command_line"),
               "one is let in with what is known without it", str(found))
        with open(os.path.join(helpers.directory, "fine"), "w", encoding="utf-8"), \
                profiled.Steered(profiler, rate=1) as second:
            tap.ok(until(lambda: commanded(profiler, second)), "the next one tells all, at once or later",
                   str(attached(profiler, second.program.pid)))
            tap.ok(until(lambda: commanded(profiler, first)), "and the first one, as soon as it can be asked",
                   str(attached(profiler, first.program.pid)))
        tap.ok(until(lambda: not runs(helper)), "the helper that waited is gone")
        tap.ok(until(lambda: exact(profiler, first.program.pid, truth)[0]), "and the profile is exact",
               str(exact(profiler, first.program.pid, truth)))


def scanning(tap):
    with Helpers(ONCE, profiled.PROC_READER) as helpers, profiled.Profiler() as profiler:
        helper = until(helpers.stopped)
        tap.ok(helper, "a process makes wait whoever looks for workers")
        profiler.kill_daemon()
        with profiled.Steered(profiler, rate=1) as worker:
            truth = worker.tell("keep 100 300")
            os.rmdir(os.path.join(helpers.directory, "first"))
            profiler.start_daemon()
            tap.ok(until(lambda: attached(profiler, worker.program.pid)), "a worker is found all the same")
            tap.ok(until(lambda: exact(profiler, worker.program.pid, truth)[0]), "and its profile is exact")


def ending(tap):
    with Helpers("kill -STOP $$", profiled.PROC_READER) as helpers, profiled.Profiler() as profiler:
        helper = until(helpers.stopped)
        assert helper
        profiler.daemon.send_signal(signal.SIGTERM)
        tap.ok(profiler.daemon.wait(PATIENCE) == 0, "spprofd ends when it is told to, while a process is asked")
        tap.ok(until(lambda: not runs(helper)), "and its helper with it")
        profiler.start_daemon()


def naming(tap):
    with Helpers("", profiled.PROC_READER) as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as worker:
        until(lambda: attached(profiler, worker.program.pid))
        until(lambda: asked(profiler, "proc_reads_waiting") == 0)
        for pid in filter(runs, helpers.pids()):
            os.kill(pid, signal.SIGSTOP)
        worker.tell("keep 100 300")
        before = asked(profiler, "proc_reads_timed_out")
        tap.ok(until(lambda: asked(profiler, "proc_reads_timed_out") > before), "a helper that stops later is given up")
        truth = worker.tell("keep 10 300")
        tap.ok(until(lambda: exact(profiler, worker.program.pid, truth)[0]), "the profile is exact afterwards")
        tap.ok(attached(profiler, worker.program.pid), "and the process still attached")


def main():
    profiled.need()
    tap = Tap()
    for part in (attaching, scanning, ending, naming):
        part(tap)
    tap.done()


if __name__ == "__main__":
    main()
