#!/usr/bin/env python3
"""Servers that fork their workers, seen as one (TAP): gunicorn, and a tree of forks whose middle has ended."""
import fcntl
import json
import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

PYTHON, RATE, SEED, WORKERS, ROUNDS = "/usr/bin/python3", 65536, 11, 8, 5
ERRORS = 5  # standard errors: less than a worker too many or too few makes
BLOCK = 40000 + 33  # an object's header and the final zero
PROGRAMS = os.path.join(profiled.SRC, "tests", "programs")


def line_of(snapshot, function):
    """What the sites hold in whose stacks a function is the innermost of Python: bytes, their variance, samples."""
    value, variance, samples = 0, 0, 0
    for site in snapshot["sites"]:
        python = [snapshot["frames"][i] for i in site["stack"] if snapshot["frames"][i]["python"]]
        if python and re.fullmatch(rf"{function}(\.<locals>.*)?", python[0]["function"]):
            live = site["live"]
            value += live["bytes"]["value"]
            variance += ((live["bytes"]["high"] - live["bytes"]["low"]) / (2 * 1.96)) ** 2
            samples += live["samples"]
    return value, variance, samples


def check_truth(tap, snapshot, function, truth, name):
    value, variance, samples = line_of(snapshot, function)
    tap.note(f"{name}: {value} of {truth} bytes, {samples} samples, standard error {variance ** 0.5:.0f}")
    tap.ok(samples > 0 and abs(value - truth) <= ERRORS * variance ** 0.5, f"{name}: within five standard errors",
           f"{value} of {truth}")


def top_function(snapshot):
    """The function of Python on whose line most live bytes were allocated."""
    sums = {}
    for site in snapshot["sites"]:
        python = [snapshot["frames"][i] for i in site["stack"] if snapshot["frames"][i]["python"]]
        if python:
            place = python[0]["function"], python[0]["file"], python[0]["line"]
            sums[place] = sums.get(place, 0) + site["live"]["bytes"]["value"]
    return max(sums, key=sums.get)[0].split(".")[0]


class Gunicorn:
    """gunicorn on a socket in a directory of its own; ask() has each worker answer one request."""

    def __init__(self, profiler):
        self.directory = profiler.directory
        self.path = os.path.join(self.directory, "http")
        for name in ("arrived", "gate"):
            open(os.path.join(self.directory, name), "w", encoding="ascii").close()
        self.program = profiler.run(
            [PYTHON, "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--timeout", "300", "--bind",
             "unix:" + self.path, "--pythonpath", PROGRAMS, "--log-level", "warning", "prefork_app"],
            rate=RATE, seed=SEED, environment={"PREFORK_DIR": self.directory, "PYTHONDONTWRITEBYTECODE": "1"})
        self.pid = self.program.pid

    def __enter__(self):
        if not profiled.until(lambda: os.path.exists(self.path)):
            raise RuntimeError("gunicorn does not listen")
        return self

    def __exit__(self, *exception):
        self.program.process.terminate()
        self.program.process.wait()
        self.program.__exit__(*exception)

    def arrived(self):
        with open(os.path.join(self.directory, "arrived"), encoding="ascii") as file:
            return file.read().split()

    def ask(self):
        before = len(self.arrived())
        with open(os.path.join(self.directory, "gate"), encoding="ascii") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            connections = [self.send() for _ in range(WORKERS)]
            profiled.until(lambda: len(self.arrived()) == before + WORKERS)
        return [receive(connection) for connection in connections]

    def send(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(profiled.PATIENCE)
        connection.connect(self.path)
        connection.sendall(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
        return connection


def receive(connection):
    with connection, connection.makefile("rb") as file:
        return json.loads(file.read().split(b"\r\n\r\n", 1)[1])


def confirmed(profiler, pid, *options):
    """A snapshot, as soon as its copies are confirmed."""
    def take():
        snapshot = profiler.snapshot(pid, *options)
        return None if snapshot["quality"]["unconfirmed"] else snapshot
    return profiled.until(take) or profiler.snapshot(pid, *options)


def check_workers(tap, profiler, leaked):
    right, tops, inherited = [], [], []
    for pid, blocks in leaked.items():
        snapshot = confirmed(profiler, pid)
        value, variance, _ = line_of(snapshot, "leaking_view")
        right.append(abs(value - blocks * BLOCK) <= ERRORS * variance ** 0.5)
        tops.append(top_function(snapshot))
        inherited.append(line_of(snapshot, "load")[2] if snapshot["family"]["inherited"]["samples"] else 0)
    tap.ok(set(tops) == {"leaking_view"}, "the leaking view is on top in each worker", tops)
    tap.ok(all(right), "each worker's leak is within five standard errors", right)
    return inherited


def check_gunicorn(tap, profiler):
    if subprocess.run([PYTHON, "-c", "import gunicorn"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        tap.skip("a leak is found in gunicorn's workers and in all of them", "gunicorn is not installed")
        return
    with Gunicorn(profiler) as server:
        for _ in range(ROUNDS):
            answers = server.ask()
        leaked = {answer["pid"]: answer["blocks"] for answer in answers}
        tap.ok(len(leaked) == WORKERS, "each worker has answered", answers)
        inherited = check_workers(tap, profiler, leaked)
        master, merged = confirmed(profiler, server.pid), confirmed(profiler, server.pid, "--tree")
        check_merged(tap, master, merged, leaked, inherited)
        check_restart(tap, profiler, server.pid, merged)
        text = profiler.ctl("snapshot", server.pid, "--tree").stdout.decode()
        tap.ok(f"[{server.pid}] and {WORKERS} processes forked from it" in text.split("\n", 1)[0] and
               "and counted once" in text, "text says how many processes it is of, and what is counted once", text)
        for name in ("pprof", "collapsed", "speedscope"):
            tap.ok(len(profiler.ctl("snapshot", server.pid, "--tree", "-f", name).stdout) > 500,
                   f"the tree can be had as {name}")


def check_merged(tap, master, merged, leaked, inherited):
    check_truth(tap, merged, "leaking_view", sum(leaked.values()) * BLOCK, "the leak of all workers")
    check_truth(tap, merged, "load", 300 * BLOCK, "the preloaded heap in all processes")
    once = line_of(master, "load")[2]
    tap.ok(line_of(merged, "load")[2] == once and all(samples == once for samples in inherited),
           "what master and workers share has the same samples in each, and in all of them",
           f"{once}, {inherited}, {line_of(merged, 'load')[2]}")
    tap.ok(merged["family"]["processes"] == WORKERS + 1 and merged["family"]["heirs"] == WORKERS,
           "it is of the master and its workers", merged["family"])
    tap.note(f"losses: {profiled.losses(merged) or 'none'}")
    tap.ok(not merged["quality"]["unconfirmed"], "it is confirmed, since each of them is", merged["quality"])


def check_restart(tap, profiler, pid, before):
    """Servers that wait for requests tell nothing; who may read their memory knows all the same."""
    title = "after a restart of spprofd the tree has the same samples on each line of Python"
    if os.geteuid() != 0:
        return tap.skip(title, "needs the right to read sleeping processes' memory")
    profiler.kill_daemon()
    profiler.start_daemon()
    after = profiled.until(lambda: whole_again(profiler, pid, before)) or profiler.snapshot(pid, "--tree")
    lines = [{function: line_of(snapshot, function)[2] for function in ("load", "leaking_view")} for snapshot in (before, after)]
    return tap.ok(lines[0] == lines[1] and before["family"] == after["family"], title, [lines, before["family"], after["family"]])


def whole_again(profiler, pid, before):
    after = profiler.snapshot(pid, "--tree")
    complete = after["family"]["processes"] == before["family"]["processes"] and not after["quality"]["unconfirmed"]
    return after if complete else None


class Tree:
    def __init__(self, profiler):
        read_end, self.gate = os.pipe()
        self.program = profiler.run(
            [PYTHON, os.path.join(PROGRAMS, "fork_tree.py"), str(read_end)], rate=RATE, seed=SEED,
            stdout=subprocess.PIPE, pass_fds=[read_end])
        self.pid = self.program.pid
        os.close(read_end)
        self.leaves = []

    def __enter__(self):
        self.await_word("ready")
        while len(self.leaves) < 2:
            self.await_word("leaf")
        return self

    def __exit__(self, *exception):
        self.program.__exit__(*exception)
        os.close(self.gate)

    def await_word(self, word):
        while True:
            line = self.program.process.stdout.readline().decode()
            if not line:
                raise RuntimeError(f"the program has ended before it said {word!r}")
            words = line.split() or [""]
            if words[0] == "leaf":
                self.leaves.append(int(words[1]))
            if words[0] == word:
                return

    def drop(self):
        self.program.process.stdin.write(b"\n")
        self.program.process.stdin.flush()
        self.await_word("dropped")


def check_tree(tap, profiler):
    with Tree(profiler) as tree:
        whole = confirmed(profiler, tree.pid, "--tree")
        samples = line_of(whole, "load")[2]
        tap.ok(whole["family"]["processes"] == 3, "grandchildren belong though their parent has ended", whole["family"])
        check_truth(tap, whole, "load", 1000 * BLOCK, "what three processes have")
        check_truth(tap, whole, "grow", 2 * 200 * BLOCK, "what two have each allocated at the same place")
        tree.drop()
        alone, dropped = confirmed(profiler, tree.pid), confirmed(profiler, tree.pid, "--tree")
        check_truth(tap, alone, "load", 500 * BLOCK, "half is left in the parent")
        tap.ok(line_of(dropped, "load")[2] == samples, "what the parent has freed counts once for those that have it still",
               f"{line_of(dropped, 'load')} of {samples}")
        tree.program.process.kill()
        tree.program.process.wait()
        check_orphans(tap, profiler, tree, samples)


def check_orphans(tap, profiler, tree, samples):
    profiled.until(lambda: not profiled.attached(profiler, tree.pid))
    orphans = confirmed(profiler, tree.pid, "--tree")
    tap.ok(orphans["process"]["exited"] and orphans["family"]["processes"] == 2 and
           line_of(orphans, "load")[2] == samples, "when the parent has ended its descendants' memory is still there",
           orphans["family"])
    check_truth(tap, orphans, "grow", 2 * 200 * BLOCK, "and what they have allocated")
    one = profiler.ctl("snapshot", tree.leaves[0]).stdout.decode()
    tap.ok("was inherited by fork" in one, "a process that was forked says how much it has inherited", one)


def main():
    profiled.need(PYTHON)
    tap = Tap()
    with profiled.Profiler() as profiler:
        check_tree(tap, profiler)
        check_gunicorn(tap, profiler)
    tap.done()


main()
