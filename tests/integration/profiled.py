"""Programs under the agent and a daemon of their own, from the build tree: what the integration tests share.

    with Profiler() as profiler:
        with profiler.run(["redis-server", ...], rate="64K") as program:
            snapshot = profiler.snapshot(program.pid)

The daemon listens in a directory that is removed at the end. Nothing here sleeps for a guessed time: the daemon
says when it is ready, and programs when they have done their work.
"""
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SRC = os.path.abspath(os.environ.get("SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
BUILD = os.path.abspath(os.environ.get("BUILDDIR", "."))
sys.path.insert(0, os.path.join(SRC, "tests", "support"))
from tap import skip_all  # noqa: E402

LIBDIR = os.environ.get("SPPROF_LIBDIR", os.path.join(BUILD, ".libs"))
BINDIR = os.environ.get("SPPROF_BINDIR", BUILD)
LIBEXECDIR = os.environ.get("SPPROF_LIBEXECDIR", BUILD)
TOTALS = struct.Struct("<8Q")  # tests/programs/count_preload.h
COUNT_MAGIC = 0x31544E554F43
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
PATIENCE = 60  # seconds until something that must happen is given up
AGENT = os.path.join(LIBDIR, "libspprof-agent.so")
DAEMON = os.path.join(BINDIR, "spprofd")
CTL = os.path.join(BINDIR, "spprofctl")
SYMBOLIZER = os.path.join(LIBEXECDIR, "spprof-symbolizer")
MAP_READER = os.path.join(LIBEXECDIR, "spprof-map-reader")
PROC_READER = os.path.join(LIBEXECDIR, "spprof-proc-reader")
COUNTER = os.path.join(BUILD, "tests", "programs", ".libs", "libcount-preload.so")
REFUSER = os.path.join(BUILD, "tests", "programs", ".libs", "librefuse-preload.so")


def need(*programs):
    """Skips the whole test, visibly, where a program is missing: ours by path, others by name."""
    for path in (AGENT, DAEMON, CTL, SYMBOLIZER, MAP_READER, PROC_READER):
        if not os.access(path, os.R_OK):
            skip_all(f"{os.path.basename(path)} is not built here")
    for program in programs:
        if not shutil.which(program):
            skip_all(f"{program} is not installed")


def interpreters():
    """The CPythons on PATH and in SPPROF_TEST_PYTHONS, {what it says it is: path}, each binary once."""
    paths = os.environ.get("SPPROF_TEST_PYTHONS", "").split(":")
    paths += [shutil.which(name) for name in ["python3", *("python" + version for version in PYTHONS)]]
    paths += ["/usr/bin/python3"]
    found = {}
    for path in filter(None, paths):
        said = subprocess.run([path, "-c", "import platform, sys, sysconfig; print(sys.executable); print(platform."
                               "python_implementation(), platform.python_version(), sysconfig.get_config_var('ABIFLAGS') or '')"],
                              capture_output=True, text=True)
        if said.returncode == 0 and os.access(said.stdout.splitlines()[0], os.X_OK):
            binary, name = said.stdout.splitlines()
            if os.path.realpath(binary) not in map(os.path.realpath, found.values()):
                found[f"{name.strip()} ({binary})"] = binary
    return found


class Program:
    """A program under the agent, ended at the end of its `with` block if it has not ended itself."""

    def __init__(self, argv, env, **options):
        self.process = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, **options)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process.wait()

    def end(self):
        """Lets a program go that waits for its standard input to end."""
        self.process.stdin.close()
        return self.process.wait()


class Profiler:
    def __init__(self, *daemon_options):
        self.daemon_options = daemon_options

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="spprof-test-")
        self.log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8")
        self.start_daemon()
        return self

    def start_daemon(self):
        read_end, write_end = os.pipe()
        environment = dict(os.environ, SPPROF_LIBEXECDIR=LIBEXECDIR)
        self.daemon = subprocess.Popen(
            [DAEMON, "--socket-dir", self.directory, "--ready-fd", str(write_end), *self.daemon_options],
            env=environment, pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as ready:
            if not ready.read(1):
                raise RuntimeError("spprofd did not start: " + self.said())

    def kill_daemon(self):
        self.daemon.kill()
        self.daemon.wait()

    def __exit__(self, *exception):
        self.daemon.terminate()
        self.daemon.wait()
        self.log.close()
        shutil.rmtree(self.directory)

    def said(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def env(self, rate=None, ceiling=0, seed=None, preload=(), **more):
        """The environment of a program under the agent; `preload` names what comes behind it."""
        env = dict(os.environ, SPPROF_SOCKET=self.directory, SPPROF_CEILING=str(ceiling),
                   LD_PRELOAD=" ".join([AGENT, *preload]), **more)
        if rate is not None:
            env["SPPROF_RATE"] = str(rate)
        if seed is not None:
            env["SPPROF_SEED"] = str(seed)
        return env

    def run(self, argv, rate=None, ceiling=0, seed=None, preload=(), environment=None, **options):
        env = self.env(rate, ceiling, seed, preload, **(environment or {}))
        return Program(argv, env, **options)

    def ctl(self, *arguments, check=True, timeout=60):
        env = dict(os.environ, SPPROF_SOCKET=self.directory)
        result = subprocess.run([CTL, *map(str, arguments)], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=timeout)
        if check and result.returncode != 0:
            raise RuntimeError(f"spprofctl {' '.join(map(str, arguments))}: exit code {result.returncode}: "
                               f"{result.stderr.decode()}\nspprofd: {self.said()}")
        return result

    def snapshot(self, pid, *options):
        return json.loads(self.ctl("snapshot", pid, "-f", "json", *options).stdout)

    def stats(self, pid):
        return json.loads(self.ctl("stats", pid, "--json").stdout)


class Counter:
    """Exact totals by tests/programs/count_preload.c in a program that has COUNT_FILE=path."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "count")
        with open(self.path, "wb") as file:
            file.truncate(mmap.PAGESIZE)
        with open(self.path, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def read(self):
        magic, _, live_bytes, live_blocks, _, _, unknown, not_counted = TOTALS.unpack_from(self.memory)
        if magic != COUNT_MAGIC or not_counted or unknown:
            raise RuntimeError(f"the counter is off: {magic:#x}, {unknown} unknown frees, {not_counted} not counted")
        return live_bytes, live_blocks


class Steered:
    """tests/programs/steered under the agent: tell() gives it a line and returns its bytes of live blocks."""

    def __init__(self, profiler, *options, **run_options):
        path = os.path.join(BUILD, "tests", "programs", "steered")
        self.program = profiler.run([path, *options], stdout=subprocess.PIPE, **run_options)
        self.pid = self.program.pid
        self.children = {}  # pid: bytes

    def __enter__(self):
        self.program.__enter__()
        self.await_word("ready")
        return self

    def __exit__(self, *exception):
        self.program.__exit__(*exception)

    def await_word(self, word):
        while True:
            words = self.program.process.stdout.readline().decode().split()
            if not words:
                raise RuntimeError(f"the program has ended before it said {word!r}")
            if words[0] == "child":
                self.children[int(words[1])] = int(words[2])
            if words[0] == word:
                return int(words[-1])

    def send(self, line):
        self.program.process.stdin.write((line + "\n").encode())
        self.program.process.stdin.flush()

    def tell(self, line):
        self.send(line)
        return self.await_word("done")


def counters(profiler, pid):
    """The counters of `spprofctl stats PID --json`, by name."""
    found = profiler.stats(pid)["counters"]
    return found if isinstance(found, dict) else {counter["name"]: counter["value"] for counter in found}


def live_bytes(snapshot, function):
    """Estimated live bytes of the sites whose stack has this function, and their samples."""
    bytes_, samples = 0, 0
    for site in snapshot["sites"]:
        if function in functions_of(snapshot, site):
            bytes_ += site["live"]["bytes"]["value"]
            samples += site["live"]["samples"]
    return bytes_, samples


def functions_of(snapshot, site):
    """The functions of a site's stack, innermost first."""
    return [snapshot["frames"][index]["function"] for index in site["stack"]]


def losses(snapshot):
    """What makes a run unfit for statistics, as text; empty if nothing was lost."""
    quality = snapshot["quality"]
    found = [f"{key} = {quality[key]}" for key in ("lost_samples", "lost_deaths", "folded_samples") if quality[key]]
    found += [key for key in ("unconfirmed", ) if quality[key]]
    found += [] if quality["from_start"] else ["not from the start"]
    return ", ".join(found)


def until(condition):
    """What `condition` returns once that is true, or the last that it returned."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.05)


def attached(profiler, pid):
    found = json.loads(profiler.ctl("list", "--json").stdout)["processes"]
    return [p for p in found if p["pid"] == pid]


def exact(profiler, pid, truth):
    """Whether a snapshot is confirmed and has exactly the truth, and what is wrong."""
    snapshot = profiler.snapshot(pid)
    if snapshot["quality"]["unconfirmed"]:
        return False, snapshot["quality"]["unconfirmed_reason"]
    found = sum(live_bytes(snapshot, function)[0] for function in ("keep_block", "resize"))
    return abs(found - truth) < 0.5, f"{found} bytes, {truth} in truth"


def kept(directory, seed, run):
    """run(seed), or what it gave when it was last run with `directory`: long series can be interrupted."""
    if not directory:
        return run(seed)
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, f"{seed}.json")
    if not os.path.exists(path):
        result = run(seed)
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.rename(path + ".new", path)
    with open(path, encoding="utf-8") as file:
        return json.load(file)
