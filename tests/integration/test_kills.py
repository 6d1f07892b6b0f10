#!/usr/bin/env python3
"""SIGKILLs at random moments, of the daemon and of workers under load (TAP).

After the daemon was killed its successor's copies are exact to the byte, and no worker has noticed. A killed worker's
last copy is the truth but for what each of its threads was at, and nobody else is disturbed. With an interval of one
byte every block is sampled and weighs what it is.

SPPROF_KILLS=N is how many (20), half of them of the daemon. With SPPROF_KEEP=DIRECTORY a series that was interrupted
goes on where it was.
"""
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

KILLS = int(os.environ.get("SPPROF_KILLS", "20"))
KEEP = os.environ.get("SPPROF_KEEP")
BATCH = 50  # kills in the life of a directory
PATIENCE = 60  # seconds until something that must happen is given up
THREADS = 3
SIZE = 1000  # of blocks in workers that are killed
FUNCTIONS = ("keep_block", "churn_block", "resize")


class Stuck(Exception):
    """Something did not happen in time."""


def until(condition, what):
    """Waits until `condition` returns something true, and returns that."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Stuck(f"{what}: not within {PATIENCE} s")
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


class Worker(profiled.Steered):
    """steered, with deadlines; what it has done is in a file that outlives it."""

    def __init__(self, profiler, rng, seed, **options):
        self.file = os.path.join(profiler.directory, f"truth-{seed}")
        super().__init__(profiler, "-t", str(THREADS), "-s", self.file, rate=1, seed=seed, **options)
        self.profiler, self.rng, self.kept, self.text = profiler, rng, 0, b""

    def await_word(self, word):
        deadline = time.monotonic() + PATIENCE
        pipe = self.program.process.stdout.fileno()
        while True:
            line, newline, rest = self.text.partition(b"\n")
            if newline:
                self.text = rest
                if line.split()[0].decode() == word:
                    return int(line.split()[-1])
                continue
            if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Stuck(f"worker {self.pid}: no {word!r} within {PATIENCE} s")
            more = os.read(pipe, 4096)
            if not more:
                raise Stuck(f"worker {self.pid} has ended before it said {word!r}")
            self.text += more

    def line(self, size=None, most=400):
        """Something to do, of so many blocks per thread at most."""
        kind = self.rng.choice(("keep", "keep", "drop", "churn", "resize"))
        count = self.rng.randrange(most // 2, most)
        if kind == "drop" or self.kept > 4000:
            self.kept = max(0, self.kept - count)
            return f"drop {count}"
        if kind == "keep":
            self.kept += count
        return f"{kind} {count} {size or self.rng.randrange(16, 3000)}"

    @staticmethod
    def after(line, before):
        """The bytes once it has done this."""
        kind, count = line.split()[:2]
        change = {"keep": SIZE, "drop": -SIZE}.get(kind, 0) * int(count) * THREADS
        return max(0, before + change)

    def truth(self):
        with open(self.file, "rb") as file:
            return sum(struct.unpack(f"{THREADS}Q", file.read(8 * THREADS)))

    def copy(self):
        """(whether it is confirmed, whether the worker has exited, its bytes) in a snapshot."""
        snapshot = json.loads(self.profiler.ctl("snapshot", self.pid, "-f", "json", timeout=PATIENCE).stdout)
        found = sum(profiled.live_bytes(snapshot, function)[0] for function in FUNCTIONS)
        return not snapshot["quality"]["unconfirmed"], snapshot["process"]["exited"], round(found)

    def becomes_exact(self):
        """It is awake, and tells its map if it is asked to."""
        seen = [None]

        def exact():
            truth = self.tell("churn 100 100")
            confirmed, _, found = self.copy()
            seen[0] = f"{found} bytes, confirmed {confirmed}, {truth} in truth"
            return confirmed and found == truth
        try:
            until(exact, f"worker {self.pid}: an exact copy")
        except Stuck as stuck:
            raise Stuck(f"{stuck}; the last was {seen[0]}") from None

    def is_attached(self):
        processes = json.loads(self.profiler.ctl("list", "--json", timeout=PATIENCE).stdout)["processes"]
        return any(process["pid"] == self.pid for process in processes)

    def ends_well(self):
        self.program.process.stdin.close()
        return self.program.process.wait(timeout=PATIENCE) == 0


def kill_daemon(profiler, workers, rng):
    """While the workers are at work; some of them go on while there is none."""
    for worker in workers:
        worker.send(worker.line())
    time.sleep(rng.random() * 0.01)
    profiler.kill_daemon()
    for worker in workers:
        worker.await_word("done")
        if rng.random() < 0.5:
            worker.tell(worker.line())
    profiler.start_daemon()


def daemon_batch(number, kills):
    """Kills in pairs now and then: the second daemon is at telling again, or attaching."""
    rng = random.Random(f"daemon {number}")
    with profiled.Profiler() as profiler, Worker(profiler, rng, 1) as one, Worker(profiler, rng, 2) as other:
        for kill in range(kills):
            kill_daemon(profiler, (one, other), rng)
            if kill + 1 < kills and rng.random() < 0.3:
                time.sleep(rng.random() * 0.05)
                continue
            for worker in (one, other):
                until(worker.is_attached, f"worker {worker.pid} is found again")
                worker.becomes_exact()
        return {"killed": kills, "unwell": sum(not worker.ends_well() for worker in (one, other))}


def kill_worker(worker, rng, idle):
    """What is wrong with the copy that is left of it, and whether it was killed at work."""
    worker.becomes_exact()
    before = worker.truth()
    if not idle:
        # Less than the rings hold, so that nothing is lost.
        line = worker.line(SIZE, 300)
        worker.send(line)
        soon = time.monotonic() + 0.001 + rng.random() * 0.01
        while worker.truth() == before and time.monotonic() < soon:
            pass
        time.sleep(rng.choice((0, rng.random() * 0.0002)))
    worker.program.process.kill()
    worker.program.process.wait(timeout=PATIENCE)
    until(lambda: worker.copy()[1], f"worker {worker.pid}: its end is known")
    confirmed, _, found = worker.copy()
    truth = worker.truth()
    if idle:
        fine = confirmed and found == truth
        return [] if fine else [f"idle: {found} bytes, confirmed {confirmed}, {truth} in truth"], False
    fine = abs(found - truth) <= THREADS * SIZE and found % SIZE == 0
    at_work = truth not in (before, worker.after(line, before))
    return [] if fine else [f"{line!r}: {found} bytes, {truth} in truth, {before} before"], at_work


def worker_batch(number, kills):
    rng = random.Random(f"worker {number}")
    result = {"killed": 0, "wrong": [], "middle": 0}
    with profiled.Profiler() as profiler, Worker(profiler, rng, 0) as bystander:
        # Which instruction it was at is nobody's choice: more of them, should none have been at work.
        while result["killed"] < kills or (result["middle"] == 0 and result["killed"] < 10 * kills):
            kill = result["killed"]
            # Whoever kills it must be scheduled while it works.
            with Worker(profiler, rng, kill + 1, preexec_fn=lambda: os.nice(19)) as victim:
                until(victim.is_attached, f"worker {victim.pid} is found")
                victim.tell(f"keep {rng.randrange(50, 300)} {SIZE}")
                bystander.send(bystander.line())
                wrong, at_work = kill_worker(victim, rng, kill % 2 == 0)
                result["wrong"] += wrong
                result["middle"] += at_work
                result["killed"] += 1
            bystander.await_word("done")
            bystander.becomes_exact()
        result["unwell"] = int(not bystander.ends_well())
    return result


def series(batch, name, kills):
    """The results of all batches; an incident that ends one is a result, too."""
    results = []
    for number, first in enumerate(range(0, kills, BATCH)):
        def run(seed):
            try:
                return batch(seed, min(BATCH, kills - first))
            except (Stuck, RuntimeError, OSError, subprocess.SubprocessError) as incident:
                return {"incident": f"{name} {seed}: {incident}"}
        results.append(profiled.kept(KEEP and os.path.join(KEEP, name), number, run))
    return results


def incidents(results):
    return [result["incident"] for result in results if "incident" in result]


def added(results, key):
    return sum(result.get(key, 0) for result in results)


def main():
    profiled.need()
    tap = Tap()
    daemons = series(daemon_batch, "daemon", KILLS - KILLS // 2)
    tap.note(f"{added(daemons, 'killed')} kills of the daemon")
    tap.ok(not incidents(daemons), "after kills of the daemon every worker's copy is exact again", incidents(daemons))
    tap.ok(added(daemons, "unwell") == 0, "no worker has noticed")
    workers = series(worker_batch, "worker", KILLS // 2)
    wrong = [what for result in workers for what in result.get("wrong", [])]
    tap.note(f"{added(workers, 'killed')} kills of workers, {added(workers, 'middle')} of them at work")
    tap.ok(not incidents(workers), "workers that are killed disturb nobody", incidents(workers))
    tap.ok(not wrong, "what a killed worker leaves is the truth, but for one record of each thread at work", wrong)
    tap.ok(added(workers, "middle") > 0, "some workers were killed at work")
    tap.ok(added(workers, "unwell") == 0, "no other worker has noticed")
    tap.done()


main()
