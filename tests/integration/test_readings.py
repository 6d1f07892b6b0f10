#!/usr/bin/env python3
"""Reading an idle worker's memory holds up nobody (TAP): helpers that stall or die, workers that wake up, end or exec meanwhile.

The daemon starts a script in the helper's place, which stops itself before it becomes the real one: that is a reading
that hangs, for as long as the test likes. What hangs in the kernel cannot be had without rights that few machines give.
"""
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from profiled import PATIENCE, attached, exact, until  # noqa: E402
from tap import Tap, skip_all  # noqa: E402


class Helpers:
    """A folder of helpers: one of them does what `how` says, each time that it is started, and leaves its pid."""

    def __init__(self, how, real=profiled.MAP_READER):
        self.how, self.real = how, real

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="spprof-helpers-")
        for program in (profiled.SYMBOLIZER, profiled.MAP_READER, profiled.PROC_READER):
            if program != self.real:
                os.symlink(program, os.path.join(self.directory, os.path.basename(program)))
        path = os.path.join(self.directory, os.path.basename(self.real))
        with open(path, "w", encoding="utf-8") as script:
            script.write(f"#!/bin/sh\necho $$ >> {self.directory}/pids\n{self.how.format(d=self.directory)}\n"
                         f"exec {self.real}\n")
        os.chmod(path, 0o755)
        self.before, profiled.LIBEXECDIR = profiled.LIBEXECDIR, self.directory
        return self

    def __exit__(self, *exception):
        profiled.LIBEXECDIR = self.before
        shutil.rmtree(self.directory)

    def pids(self):
        try:
            with open(os.path.join(self.directory, "pids"), encoding="utf-8") as pids:
                return [int(pid) for pid in pids.read().split()]
        except FileNotFoundError:
            return []

    def stopped(self):
        """The helper that has stopped itself."""
        for pid in reversed(self.pids()):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                    if stat.read().rsplit(")", 1)[1].split()[0] == "T":
                        return pid
            except OSError:
                pass
        return None


def runs(pid):
    return os.path.exists(f"/proc/{pid}")


def reason(profiler, pid):
    return profiler.snapshot(pid)["quality"]["unconfirmed_reason"]


def read_by_another_daemon(profiler, worker):
    """The daemon that has taken something is killed, so the next one has to read the worker."""
    until(lambda: profiled.counters(profiler, worker.pid)["ring_records"])
    profiler.kill_daemon()
    profiler.start_daemon()
    until(lambda: attached(profiler, worker.pid))


def hanging(tap):
    with Helpers("kill -STOP $$") as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as sleeper, profiled.Steered(profiler, rate=1) as other:
        sleeper.tell("keep 1000 300")
        truth = other.tell("keep 500 300")
        read_by_another_daemon(profiler, sleeper)
        helper = until(helpers.stopped)
        tap.ok(helper, "a reading hangs")
        tap.ok(attached(profiler, other.pid), "a list is answered meanwhile")
        other.tell("churn 1000 100")

        def told():
            other.tell("churn 1000 100")
            return exact(profiler, other.pid, truth)[0]
        tap.ok(until(told), "and a snapshot of another process, which is exact")
        tap.ok(until(lambda: "took too long" in reason(profiler, sleeper.pid)), "the reading is given up, and that is told",
               reason(profiler, sleeper.pid))
        tap.ok(until(lambda: not runs(helper)), "its helper is gone")


def ending(tap):
    with Helpers("kill -STOP $$") as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as sleeper:
        sleeper.tell("keep 1000 300")
        read_by_another_daemon(profiler, sleeper)
        helper = until(helpers.stopped)
        assert helper
        profiler.daemon.send_signal(signal.SIGTERM)
        tap.ok(profiler.daemon.wait(PATIENCE) == 0, "spprofd ends when it is told to, while a reading hangs")
        tap.ok(until(lambda: not runs(helper)), "and its helper with it")
        profiler.start_daemon()


def dying(tap):
    with Helpers("mkdir {d}/first 2>/dev/null && kill -KILL $$") as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as sleeper:
        truth = sleeper.tell("keep 1000 300")
        read_by_another_daemon(profiler, sleeper)
        seen = set()

        def settled():
            fine, what = exact(profiler, sleeper.pid, truth)
            seen.add(what)
            return fine
        tap.ok(until(settled), "a helper that is killed is started again later, and the copy exact", str(seen))
        tap.ok(any("ended while it read" in what for what in seen), "meanwhile the answer says so", str(seen))
        tap.ok(len(helpers.pids()) == 2, "it was started twice", str(helpers.pids()))


def waking(tap):
    with Helpers("mkdir {d}/first 2>/dev/null && kill -STOP $$") as helpers, profiled.Profiler() as profiler, \
            profiled.Steered(profiler, rate=1) as worker:
        worker.tell("keep 1000 300")
        read_by_another_daemon(profiler, worker)
        helper = until(helpers.stopped)
        assert helper
        worker.tell("drop 300")
        truth = worker.tell("keep 20 100")
        os.kill(helper, signal.SIGCONT)

        def told():
            worker.tell("churn 100 100")
            return exact(profiler, worker.pid, truth)[0]
        tap.ok(until(told), "a worker that wakes up while it is read is exact all the same")


def leaving(tap):
    with Helpers("kill -STOP $$") as helpers, profiled.Profiler() as profiler:
        with profiled.Steered(profiler, rate=1) as worker:
            worker.tell("keep 1000 300")
            read_by_another_daemon(profiler, worker)
            helper = until(helpers.stopped)
            assert helper
            worker.program.process.kill()
            worker.program.process.wait()
            tap.ok(until(lambda: not runs(helper)), "a worker that ends while it is read takes its helper with it")
            tap.ok(profiler.snapshot(worker.pid)["quality"]["unconfirmed"], "its last state is not claimed to be exact")
        with profiler.run(["/bin/sh", "-c", "read x; exec sleep 1000"], rate=1) as shell:
            until(lambda: attached(profiler, shell.pid))
            read_by_another_daemon(profiler, shell)
            helper = until(helpers.stopped)
            assert helper, reason(profiler, shell.pid)
            shell.process.stdin.write(b"\n")
            shell.process.stdin.flush()
            tap.ok(until(lambda: not runs(helper)), "one that executes another program as well")


def main():
    profiled.need()
    if os.geteuid() != 0:
        skip_all("needs the right to read another process's memory")
    tap = Tap()
    for part in (hanging, ending, dying, waking, leaving):
        part(tap)
    tap.done()


if __name__ == "__main__":
    main()
