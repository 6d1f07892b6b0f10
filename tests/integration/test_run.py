#!/usr/bin/env python3
"""`spprofctl run` with the real daemon and agent (TAP): numbers at the end however it comes, and nothing left behind."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

SIZE, COUNT = 20000, 1500
BLOCKS = f"import os, signal, sys; blocks = [bytes({SIZE}) for _ in range({COUNT})]; "
TRUTH = COUNT * (SIZE + 33)  # an object's header and the final zero


class Place:
    """A directory that takes the private daemon's, and whose emptiness tells that nothing is left."""

    def __init__(self, path):
        self.runtime = os.path.join(path, "run")
        self.file = os.path.join(path, "heap.json")
        os.mkdir(self.runtime)

    def run(self, source, *options):
        if os.path.exists(self.file):
            os.unlink(self.file)
        return subprocess.run(
            [profiled.CTL, "run", "-r", "32K", *options, "--", "/usr/bin/python3", "-c", source],
            env=dict(os.environ, XDG_RUNTIME_DIR=self.runtime, SPPROF_SOCKET=os.path.join(self.runtime, "none"),
                     SPPROF_LIBDIR=profiled.LIBDIR, SPPROF_BINDIR=profiled.BINDIR,
                     SPPROF_LIBEXECDIR=profiled.LIBEXECDIR, SPPROF_CEILING="0", SPPROF_SEED="1"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)

    def kept(self):
        with open(self.file, encoding="utf-8") as file:
            return json.load(file)


def check_sum(tap, snapshot, kind, name):
    """The blocks are by far the most of what such a program allocates."""
    total = max((site[kind]["bytes"] for site in snapshot["sites"]), key=lambda estimate: estimate["value"])
    error = (total["high"] - total["low"]) / (2 * 1.96)
    tap.ok(abs(total["value"] - TRUTH) <= 4 * error, f"{name}: the blocks are within four standard errors",
           f"{total} {TRUTH}")


def check_end(tap, place, source, code, name):
    result = place.run(BLOCKS + source, "-o", place.file)
    tap.ok(result.returncode == code, f"{name}: exit code {code}", f"{result.returncode}: {result.stderr}")
    if tap.ok(os.path.exists(place.file), f"{name}: the last state is written", result.stderr):
        check_sum(tap, place.kept(), "cumulative", name)
    tap.ok(not os.listdir(place.runtime), f"{name}: nothing is left", str(os.listdir(place.runtime)))


def check_ends(tap, place):
    check_end(tap, place, "sys.exit(7)", 7, "an ordinary end")
    check_end(tap, place, "os.abort()", 128 + signal.SIGABRT, "a crash")
    check_sum(tap, place.kept(), "live", "what lived at the crash")
    check_end(tap, place, "os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL, "a kill")
    check_end(tap, place, "os.kill(os.getppid(), signal.SIGTERM); signal.pause()", 128 + signal.SIGTERM,
              "a SIGTERM to spprofctl")


def check_hint(tap, place):
    """The program itself asks, as the first line on stderr says, and finds itself."""
    source = BLOCKS + f"""
import subprocess
del os.environ["LD_PRELOAD"]
subprocess.run([{profiled.CTL!r}, "snapshot", str(os.getpid()), "-f", "json"], check=True)
"""
    result = place.run(source)
    tap.ok(result.returncode == 0 and "look at it: " in result.stderr, "a line on stderr tells the next command",
           result.stderr)
    check_sum(tap, json.loads(result.stdout), "live", "a snapshot meanwhile")
    tap.ok(not os.listdir(place.runtime), "nothing is left of that")


def check_static(tap, place, directory):
    program, source = os.path.join(directory, "static"), os.path.join(directory, "static.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("int main(void) { return 0; }\n")
    if subprocess.run(["cc", "-static", "-o", program, source], capture_output=True, check=False).returncode != 0:
        tap.skip("a static program is named as the reason", "no static libc")
        return
    env = dict(os.environ, XDG_RUNTIME_DIR=place.runtime, SPPROF_SOCKET=os.path.join(place.runtime, "none"))
    result = subprocess.run([profiled.CTL, "run", "-o", place.file, program], env=env, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    tap.ok(result.returncode == 3 and "static" in result.stderr, "a static program is named as the reason",
           f"{result.returncode}: {result.stderr}")
    tap.ok(not os.listdir(place.runtime), "nothing is left of that either")


def check_helpers(tap, directory):
    """An installed tree is found wherever it was moved; one that lacks a helper is refused."""
    tree, sockets = os.path.join(directory, "moved"), os.path.join(directory, "sockets")
    for program, folder in ((profiled.DAEMON, "bin"), *((helper, os.path.join("libexec", "spprof")) for helper in
                            (profiled.SYMBOLIZER, profiled.MAP_READER, profiled.PROC_READER))):
        os.makedirs(os.path.join(tree, folder), exist_ok=True)
        shutil.copy2(program, os.path.join(tree, folder))
    env = {name: value for name, value in os.environ.items() if name != "SPPROF_LIBEXECDIR"}
    command = [os.path.join(tree, "bin", "spprofd"), "--socket-dir", sockets, "--ready-fd", "1", "--exit-with-parent"]
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as daemon:
        tap.ok(daemon.stdout.readline() == "ready\n", "a tree that was moved has its helpers")
        daemon.terminate()
    result = subprocess.run(command, env=dict(env, SPPROF_LIBEXECDIR=directory), stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=60, check=False)
    tap.ok(result.returncode == 1 and "spprof-proc-reader: No such file" in result.stderr,
           "a daemon without its helpers says so and ends", f"{result.returncode}: {result.stderr}")


def main():
    profiled.need("/usr/bin/python3")
    tap = Tap()
    with tempfile.TemporaryDirectory(prefix="spprof-test-") as directory:
        place = Place(directory)
        check_ends(tap, place)
        check_hint(tap, place)
        check_static(tap, place, directory)
        check_helpers(tap, directory)
    tap.done()


main()
