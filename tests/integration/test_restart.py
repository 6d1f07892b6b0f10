#!/usr/bin/env python3
"""What a spprofd that is killed leaves to the next one (TAP): marks, windows between them, and trees of forks.

With an interval of one byte every block is sampled and weighs what it is, so that estimates are the truth exactly.
"""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from profiled import attached, until  # noqa: E402
from tap import Tap  # noqa: E402

sys.path.insert(0, os.path.join(profiled.SRC, "clients", "python"))
from spprof import memprof  # noqa: E402

SIZE = 1000
FUNCTIONS = ("keep_block", "churn_block")


def restart(profiler, pids, meanwhile=lambda: None):
    profiler.kill_daemon()
    meanwhile()
    profiler.start_daemon()
    for pid in pids:
        until(lambda: attached(profiler, pid))


def window(profiler, worker, *options):
    """A confirmed snapshot of a window, and the bytes in it: live, allocated. The worker is awake, so that who may not
    read its memory is told as well."""
    def take():
        worker.tell("churn 100 100")
        snapshot = profiler.snapshot(worker.pid, *options)
        return None if snapshot["quality"]["unconfirmed"] else snapshot
    snapshot = until(take) or profiler.snapshot(worker.pid, *options)
    sums = [round(sum(site[kind]["bytes"]["value"] for site in snapshot["sites"]
                      if "keep_block" in profiled.functions_of(snapshot, site))) for kind in ("live", "cumulative")]
    return snapshot, *sums


def check_window(tap, profiler, worker, options, blocks, name):
    snapshot, live, _ = window(profiler, worker, *options)
    tap.ok(live == blocks * SIZE and not snapshot["quality"]["unconfirmed"], name,
           f"{live} bytes, {blocks * SIZE} in truth; {snapshot['quality']['unconfirmed_reason']}; {snapshot['window']}")
    return snapshot


def marks(tap):
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        worker.tell(f"keep 100 {SIZE}")
        worker.tell("mark first")
        worker.tell(f"keep 200 {SIZE}")
        profiler.ctl("mark", worker.pid, "second")
        worker.tell(f"keep 400 {SIZE}")
        check_window(tap, profiler, worker, ("--since", "first", "--until", "second"), 200, "before the kill")

        def meanwhile():
            worker.tell("mark third")
            worker.tell(f"keep 800 {SIZE}")
        restart(profiler, [worker.pid], meanwhile)
        # Asked before the worker has told its map again.
        profiler.ctl("mark", worker.pid, "fourth")
        worker.tell(f"keep 1600 {SIZE}")
        check_window(tap, profiler, worker, ("--since", "first", "--until", "second"), 200,
                     "a mark of the program and one of spprofctl are borders for the next spprofd")
        check_window(tap, profiler, worker, ("--since", "second", "--until", "third"), 400,
                     "so is one that the program made while there was none")
        check_window(tap, profiler, worker, ("--until", "first"), 100, "so is the one that comes first")
        check_window(tap, profiler, worker, ("--since", "third", "--until", "fourth"), 800,
                     "a mark that a late spprofd gives comes behind what it was not told of yet")
        check_window(tap, profiler, worker, ("--since", "fourth"), 1600, "and before what is allocated then")
        wrong = profiler.ctl("snapshot", worker.pid, "--since", "fifth", check=False)
        tap.ok(wrong.returncode == 2 and b"has no mark 'fifth'" in wrong.stderr, "what was never a mark is none", wrong)


def deaths(tap):
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        profiler.ctl("mark", worker.pid, "asked")
        worker.tell(f"keep 100 {SIZE}")
        restart(profiler, [worker.pid], lambda: worker.tell(f"keep 100 {SIZE}"))
        snapshot = check_window(tap, profiler, worker, ("--since", "asked"), 200, "what lives")
        tap.ok(not snapshot["window"]["cumulative_complete"], "what died while nobody listened is not claimed to be known",
               snapshot["window"])
        worker.tell("mark program")
        worker.tell(f"keep 100 {SIZE}")
        worker.tell("mark end")
        worker.tell("drop 250")
        snapshot, live, allocated = window(profiler, worker, "--since", "program", "--until", "end")
        tap.ok(snapshot["window"]["cumulative_complete"] and live == 50 * SIZE and allocated == 100 * SIZE,
               "the next spprofd knows without being asked that windows are wanted",
               f"{live} live, {allocated} allocated; {snapshot['window']}")


def asked_late(tap):
    """Nobody had asked an earlier spprofd: what this one says of windows begins where it came."""
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        worker.tell("mark old")
        worker.tell(f"keep 200 {SIZE}")
        worker.tell("drop 100")
        restart(profiler, [worker.pid])
        profiler.ctl("mark", worker.pid, "new")
        snapshot = check_window(tap, profiler, worker, ("--since", "old"), 100, "what lives of an old window")
        tap.ok(not snapshot["window"]["cumulative_complete"], "of a window from before it a late spprofd claims to know no deaths",
               snapshot["window"])


def sites(snapshot):
    """{stack by names and lines: (live samples, live bytes)}"""
    found = {}
    for site in snapshot["sites"]:
        stack = tuple((frame["function"], frame["file"], frame["line"]) for frame in
                      (snapshot["frames"][index] for index in site["stack"]))
        if site["live"]["samples"] and any(name in FUNCTIONS for name, _, _ in stack):
            samples, size = found.get(stack, (0, 0))
            found[stack] = samples + site["live"]["samples"], size + round(site["live"]["bytes"]["value"])
    return found


BLOCKS = """
import json, sys
from spprof import memprof
def blocks(count):
    return [bytes(40000) for _ in range(count)]
memprof.start(16)
profiler, kept = memprof.MemoryProfiler(), []
print("ready", flush=True)
while sys.stdin.readline():
    stats = memprof.get_stats()
    print(json.dumps([stats.estimated_heap_bytes, stats.is_confirmed]), flush=True)
    with profiler:
        kept.append(blocks(100))
        print("inside", flush=True)
        sys.stdin.readline()
        blocks(50)
    snapshot = profiler.snapshot
    print(json.dumps([snapshot.estimated_heap_bytes, snapshot.estimated_total_bytes, snapshot.warnings]), flush=True)
"""


def blocks_of_python(tap):
    with profiled.Profiler() as profiler, profiler.run(
            [sys.executable, "-c", BLOCKS], seed=1, stdout=subprocess.PIPE,
            environment={"PYTHONPATH": os.path.join(profiled.SRC, "clients", "python"), "SPPROF_AGENT": profiled.LIBDIR,
                         "PYTHONDONTWRITEBYTECODE": "1"}) as program:
        estimates = []

        def hear():
            return program.process.stdout.readline().decode()

        def go_on():
            program.process.stdin.write(b"\n")
            program.process.stdin.flush()

        def block(name, inside=lambda: None):
            go_on()
            estimates.append(json.loads(hear()))
            hear()
            inside()
            go_on()
            live, allocated, warnings = json.loads(hear())
            partly = [warning for warning in warnings if "not known in full" in warning]
            tap.note(f"{name}: {live:.0f} bytes live, {allocated:.0f} allocated; {warnings}")
            tap.ok(abs(live - 100 * 40000) < 1.5e6, f"{name}: what lives is known", f"{live}")
            return allocated, partly
        hear()
        for name in ("before", "after a restart"):
            allocated, partly = block(name)
            tap.ok(abs(allocated - 150 * 40000) < 2e6 and not partly, f"{name}: and what was freed", f"{allocated} {partly}")
            restart(profiler, [program.pid])
        _, partly = block("a restart within", lambda: restart(profiler, [program.pid]))
        tap.ok(partly, "a restart within: what was freed is not claimed to be known")
        # What the interpreter holds itself was sampled before the start, the same for all.
        grown = [value - estimates[0][0] for value, _ in estimates]
        tap.ok(all(confirmed for _, confirmed in estimates) and
               all(abs(value - blocks * 100 * 40000) < 2.5e6 for blocks, value in enumerate(grown)),
               "statistics that are asked for right after a restart are of all that lives", estimates)


class Tree:
    """steered and its descendants, DEPTH forks deep, each in the one before; the truth is that each block counts once."""
    DEPTH, KEPT = 4, 2000

    def __init__(self, worker):
        self.worker = worker
        worker.tell(f"keep {self.KEPT} {SIZE}")
        worker.send(f"tree {self.DEPTH}")
        self.bytes = worker.await_word("done") + sum(50 * level * 3000 for level in range(1, self.DEPTH + 1))
        while len(worker.children) < self.DEPTH:
            worker.await_word("child")
        self.pids = [worker.pid, *worker.children]

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.pids.remove(pid)

    def snapshot(self, profiler, *options):
        """Once it is confirmed; those who may not be read tell when they are awake."""
        def take():
            for pid in self.pids:
                os.kill(pid, signal.SIGUSR1)
            snapshot = profiler.snapshot(self.worker.pid, "--tree", *options)
            complete = snapshot["family"]["processes"] == len(self.pids) and not snapshot["quality"]["unconfirmed"]
            return snapshot if complete else None
        return until(take) or profiler.snapshot(self.worker.pid, "--tree", *options)


def samples(profiler, tree):
    """{(process, id, address, size)} of the tree's samples, each by itself; ids are a process's own."""
    snapshot = memprof.attach(tree.worker.pid, profiler.directory).get_snapshot(descendants=True)
    return {(sample.pid, sample.id, sample.address, sample.size) for sample in snapshot.live
            if any(frame.function in FUNCTIONS for frame in sample.stack)}


def check_tree(tap, snapshot, tree, before, name):
    found, family = sites(snapshot), snapshot["family"]
    total = sum(size for _, size in found.values())
    tap.ok(total == tree.bytes and not snapshot["quality"]["unconfirmed"], f"{name}: each block counts once",
           f"{total} bytes, {tree.bytes} in truth; {snapshot['quality']['unconfirmed_reason']}; {family}")
    if before:
        tap.ok(found == sites(before) and family == before["family"], f"{name}: the same samples at each site as before",
               f"{family}, {before['family']}; {[(key, found.get(key), sites(before).get(key)) for key in set(found) ^ set(sites(before))]}")
    return snapshot


def trees(tap):
    with profiled.Profiler() as profiler, profiled.Steered(profiler, rate=1) as worker:
        tree = Tree(worker)
        before = check_tree(tap, tree.snapshot(profiler), tree, None, "a tree of forks")
        one_by_one = samples(profiler, tree)
        tap.ok(len({pid for pid, *_ in one_by_one}) == len(tree.pids) and
               sum(size for *_, size in one_by_one) == tree.bytes, "its samples one by one: each counts once",
               f"{len(one_by_one)} samples in {sorted({pid for pid, *_ in one_by_one})} of {tree.pids}, {sum(size for *_, size in one_by_one)} bytes, {tree.bytes} in truth")
        restart(profiler, tree.pids)
        check_tree(tap, tree.snapshot(profiler), tree, before, "a tree of forks, after a restart")
        differing = one_by_one ^ samples(profiler, tree)
        tap.ok(not differing, "its samples one by one are the same after a restart", f"{len(differing)}: {list(differing)[:9]}")
        tree.kill(tree.pids[2])
        until(lambda: tree.snapshot(profiler)["family"]["processes"] == len(tree.pids))
        before = check_tree(tap, tree.snapshot(profiler), tree, None, "one in the middle has ended")
        restart(profiler, tree.pids)
        check_tree(tap, tree.snapshot(profiler), tree, before, "one in the middle has ended, after a restart")
        restart(profiler, tree.pids[1:], lambda: tree.kill(worker.pid))
        code = profiler.ctl("snapshot", worker.pid, "--tree", check=False)
        tap.ok(code.returncode == 3, "who ended while there was no spprofd is unknown", code)


def late_tree(tap):
    with profiled.Profiler() as profiler:
        profiler.kill_daemon()
        with profiled.Steered(profiler, rate=1) as worker:
            tree = Tree(worker)
            profiler.start_daemon()
            for pid in tree.pids:
                until(lambda: attached(profiler, pid))
            check_tree(tap, tree.snapshot(profiler), tree, None, "a spprofd that comes after all forks")


def main():
    profiled.need()
    tap = Tap()
    for part in (marks, deaths, asked_late, blocks_of_python, trees, late_tree):
        part(tap)
    tap.done()


main()
