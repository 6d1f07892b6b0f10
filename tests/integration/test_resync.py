#!/usr/bin/env python3
"""The live heap is exact again whatever happened to the daemon (TAP): killed, late, overrun, and in forked children.

With an interval of one byte every block is sampled and weighs what it is, so that estimates are the truth exactly.
"""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from profiled import attached, exact, until  # noqa: E402
from tap import Tap  # noqa: E402


def check_exact(tap, profiler, pid, truth, name, wake=lambda: None):
    """`wake` has the worker allocate: who may not read its memory has to wait until it tells."""
    last = ["nothing was asked"]

    def settled():
        wake()
        fine, last[0] = exact(profiler, pid, truth)
        return fine
    tap.ok(until(settled), f"{name}: the live heap is exact", last[0])


def check_told(tap, profiler, worker, truth, name):
    """The worker is awake and tells its map, until the daemon's copy has what the agent counts. It does less at a time
    than the rings hold: on a busy machine it would lose something each time, and be asked again ever more seldom."""
    def equal():
        worker.tell("churn 100 100")
        counters = profiled.counters(profiler, worker.pid)
        return counters["model_live_samples"] == counters["agent_live_samples"] and \
            not profiler.snapshot(worker.pid)["quality"]["unconfirmed"]
    tap.ok(until(equal), f"{name}: the worker has told it all", str(profiled.counters(profiler, worker.pid)))
    check_exact(tap, profiler, worker.pid, truth, name + ", told")


def killed_daemon(tap):
    with profiled.Profiler() as profiler, profiled.Steered(profiler, "-t", "3", rate=1) as worker:
        worker.tell("keep 3000 300")
        worker.tell("drop 1000")
        before = worker.tell("keep 500 5000")
        check_told(tap, profiler, worker, before, "before anything happened")
        profiler.kill_daemon()
        worker.tell("churn 1000 100")
        worker.tell("drop 500")
        after = worker.tell("resize 200 900")
        profiler.start_daemon()
        until(lambda: attached(profiler, worker.pid))
        check_told(tap, profiler, worker, after, "after the daemon was killed")
        snapshot = profiler.snapshot(worker.pid)
        tap.ok(not snapshot["quality"]["from_start"], "what was allocated in all is not claimed to be complete")


def sleeping_worker(tap):
    if os.geteuid() != 0:
        tap.skip("a sleeping worker's map is read", "needs the right to read another process's memory")
        return
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        truth = worker.tell("keep 16384 65536")  # 1 GiB, untouched
        check_exact(tap, profiler, worker.pid, truth, "a gigabyte, more at once than the rings hold")
        worker.send("idle")
        profiler.kill_daemon()
        profiler.start_daemon()
        begin = time.monotonic()
        until(lambda: attached(profiler, worker.pid))
        fine, what = exact(profiler, worker.pid, truth)
        tap.note(f"first answer {time.monotonic() - begin:.2f} s after the restart")
        tap.ok(fine, "the first answer after the restart is exact for a worker that sleeps for good", what)


def late_daemon(tap):
    with profiled.Profiler() as profiler:
        profiler.kill_daemon()
        with profiled.Steered(profiler, "-t", "2", rate=1) as worker:
            # More than the rings hold: most of it is lost to whoever comes.
            worker.tell("keep 20000 200")
            truth = worker.tell("drop 5000")
            profiler.start_daemon()
            until(lambda: attached(profiler, worker.pid))
            check_told(tap, profiler, worker, truth, "a daemon that came late")
            counters = profiled.counters(profiler, worker.pid)
            tap.ok(counters["lost_birth_ring_full"] > 0, "the rings had been full indeed", str(counters))


def overrun_daemon(tap):
    with profiled.Profiler() as profiler, profiled.Steered(profiler, "-t", "2", rate=1) as worker:
        worker.tell("keep 1000 200")
        profiler.daemon.send_signal(signal.SIGSTOP)
        worker.tell("keep 20000 200")
        worker.tell("drop 8000")
        truth = worker.tell("keep 10 200")
        profiler.daemon.send_signal(signal.SIGCONT)
        check_told(tap, profiler, worker, truth, "a daemon that could not keep up")
        counters = profiled.counters(profiler, worker.pid)
        tap.ok(counters["lost_birth_ring_full"] > 0 and counters["lost_death_unwritten"] > 0,
               "births and deaths had been lost indeed", str(counters))


def forked_tree(tap):
    """The children sleep when they have done their share, so they can only be read."""
    if os.geteuid() != 0:
        tap.skip("a tree of forks", "needs the right to read sleeping processes' memory")
        return
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        truth = worker.tell("keep 2000 1000")
        worker.send("tree 8")
        worker.await_word("done")
        while len(worker.children) < 8:
            worker.await_word("child")
        check_exact(tap, profiler, worker.pid, truth, "the parent of a tree of forks")
        for depth, (pid, own) in enumerate(worker.children.items(), 1):
            if until(lambda: attached(profiler, pid)):
                check_exact(tap, profiler, pid, own, f"the child at depth {depth}, with what it inherited")
            else:
                tap.ok(False, f"the child at depth {depth} is attached")


def main():
    profiled.need()
    tap = Tap()
    for part in (killed_daemon, sleeping_worker, late_daemon, overrun_daemon, forked_tree):
        part(tap)
    tap.done()


main()
