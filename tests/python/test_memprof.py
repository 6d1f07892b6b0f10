#!/usr/bin/env python3
"""spprof.memprof with the real agent and the real daemon (TAP). Blocks are larger than what pymalloc serves, so that each
is an allocation of its own; seeds are fixed, and truths are allowed five standard errors."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from under_agent import UnderAgent, interpreters  # noqa: E402

PRELUDE = """
import json, math, os, sys, threading
from spprof import memprof
from spprof.memprof import MemoryProfiler
BLOCK, SIZE = 20000, sys.getsizeof(bytes(20000))

def blocks(count):
    return [bytes(BLOCK) for _ in range(count)]

def is_near(snapshot, truth, slack=400_000):
    error = sum(s.variance for s in snapshot.live) ** 0.5
    found = sum(s.estimated_bytes for s in snapshot.live)
    assert abs(found - truth) < 5 * error + slack, (found, truth, error, snapshot.warnings)

def refused(kind, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError(f"{function.__name__} was not refused")
"""


class Sampling(UnderAgent):
    def test_a_snapshot_holds_what_lives(self):
        for interpreter in interpreters():
            with self.subTest(interpreter):
                self.python(PRELUDE + """
memprof.start(sampling_rate_kb=16)
kept = blocks(1000)
blocks(500)
snapshot = memprof.get_snapshot()
is_near(snapshot, 1000 * SIZE, slack=4_000_000)
assert snapshot.pid == os.getpid() and snapshot.sampling_rate_bytes == 16384
assert snapshot.live_samples == len(snapshot.live) < snapshot.total_samples
assert snapshot.estimated_heap_low < snapshot.estimated_heap_bytes < snapshot.estimated_heap_high
ours = [s for s in snapshot.samples if s.size == SIZE]
assert len(ours) > 500, len(ours)
assert any(s.address == id(block) for s in ours for block in kept)
assert all(s.thread_id == threading.get_native_id() and s.lifetime_ns is None and s.stack for s in ours)
first = snapshot.top_allocators(1)[0]
assert first.estimated_bytes > 15_000_000
assert first.frame.is_python and first.line == 8, first
assert first.function == "<listcomp>" if sys.version_info < (3, 11) else first.function.startswith("blocks"), first
assert any(not frame.is_python for frame in ours[0].stack)
assert not any("unconfirmed" in warning for warning in snapshot.warnings), snapshot.warnings
""", interpreter=interpreter)
                self.assert_nothing_is_left()

    def test_statistics_count_samples(self):
        self.python(PRELUDE + """
memprof.start(64)  # so few samples that the rings hold all of them, however late the daemon comes
memprof.get_snapshot()  # a daemon that came late has been told of everything then
before = memprof.get_stats()  # what the interpreter holds was sampled more thinly, before the start
kept = blocks(1000)
blocks(500)
memprof.get_snapshot()
stats = memprof.get_stats()
assert stats.sampling_rate_bytes == 65536 and stats.unique_stacks > 0
assert stats.live_samples > before.live_samples + 150, (before, stats)
assert stats.freed_samples > before.freed_samples + 60, (before, stats)
assert stats.total_samples >= stats.live_samples + stats.freed_samples - 5
assert 0 < stats.heap_map_load_percent < 100 and stats.lost_samples == 0
grown, p = stats.estimated_heap_bytes - before.estimated_heap_bytes, -math.expm1(-SIZE / 65536)
assert abs(grown - 1000 * SIZE) < 5 * SIZE * math.sqrt(1000 * (1 - p)) / p + 400_000, (before, stats)
""")

    def test_a_stop_ends_samples_and_not_the_tracking_of_frees(self):
        self.python(PRELUDE + """
memprof.start(16)
own = memprof.get_snapshot().estimated_heap_bytes  # the interpreter's, by few samples from before the start
kept = blocks(1000)
memprof.stop()
before = memprof.get_stats()
unseen = blocks(500)
assert memprof.get_stats().total_samples == before.total_samples
del kept
assert memprof.get_stats().live_samples < before.live_samples - 500
assert memprof.get_snapshot().estimated_heap_bytes < own + 4_000_000
memprof.start(32)
kept = blocks(1000)
assert memprof.get_stats().sampling_rate_bytes == 32768
assert memprof.get_stats().total_samples > before.total_samples + 300
""")

    def test_what_grew_is_the_difference(self):
        self.python(PRELUDE + """
memprof.start(16)
before = memprof.get_snapshot()
kept = blocks(1000)
after = memprof.get_snapshot()
grown = memprof.diff(before, after)
assert abs(sum(d.growth_bytes for d in grown) - 1000 * SIZE) < 3_000_000, grown
assert grown[0].is_significant and grown[0].before_samples == 0
assert grown[0].growth_bytes == max(d.growth_bytes for d in grown)
""")

    def test_a_forked_child_goes_on_as_a_process_of_its_own(self):
        self.python(PRELUDE + """
memprof.start(16)
kept = blocks(500)
pid = os.fork()
more = blocks(500 if pid == 0 else 100)
snapshot = memprof.get_snapshot()
assert snapshot.pid == os.getpid()
is_near(snapshot, (1000 if pid == 0 else 600) * SIZE, slack=4_000_000)
if pid == 0:
    refused(RuntimeError, memprof.start)
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
memprof.get_snapshot()
""")
        self.assert_nothing_is_left()


class Trees(UnderAgent):
    def test_descendants_count_what_they_have_inherited_once(self):
        for interpreter in interpreters():
            with self.subTest(interpreter):
                self.python(PRELUDE + """
import subprocess
memprof.start(16)
kept = blocks(500)
ready, ready_end = os.pipe()
gate_end, gate = os.pipe()
def child(depth):
    if os.fork():
        return
    own = blocks(100)
    if depth > 1:
        child(depth - 1)
    os.write(ready_end, b"x")
    # Whoever reads what is said here does not wait for this process.
    for fd in (gate, 1, 2):
        os.close(fd)
    os.read(gate_end, 1)
    os._exit(0)
for _ in range(2):
    child(2)
for _ in range(4):
    assert os.read(ready, 1)
def settled():
    for _ in range(600):
        tree = memprof.get_snapshot(descendants=True)
        if tree.processes == 5:
            return tree
        blocks(5)
        threading.Event().wait(0.1)
    raise AssertionError(tree)
tree, alone = settled(), memprof.get_snapshot()
assert (tree.processes, alone.processes, tree.pid) == (5, 1, os.getpid())
ours = [s for s in tree.live if s.size == SIZE]
own = {s.id for s in alone.live if s.size == SIZE}
assert {s.id for s in ours if s.pid == os.getpid()} == own, "what it has itself is counted here"
assert len({s.pid for s in ours}) == 5 and len({(s.pid, s.id) for s in tree.live}) == len(tree.live)
found, error = sum(s.estimated_bytes for s in ours), sum(s.variance for s in ours) ** 0.5
assert abs(found - 900 * SIZE) < 5 * error, (found, error)
assert abs(sum(s.estimated_bytes for s in tree.live) - tree.estimated_heap_bytes) < len(tree.live) + 2
assert tree.top_allocators(1)[0].line == 8  # in blocks()
tree.save("tree.folded", "collapsed")
command = [sys.executable, "-m", "spprof", "--socket", memprof._profiler.client.directory, "snapshot", str(os.getpid())]
environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
said = subprocess.run([*command, "--tree"], env=environment, check=True, capture_output=True, text=True).stdout
assert said.startswith("5 processes, what they share counted once\\nlive "), said
one = memprof.attach(next(s.pid for s in ours if s.pid != os.getpid()), memprof._profiler.client.directory)
assert one.get_snapshot(descendants=True).processes in (1, 2)
os.close(gate)
for _ in range(2):
    os.wait()
""", interpreter=interpreter)


class Scopes(UnderAgent):
    def test_a_block_has_what_it_allocated_and_what_of_that_lives(self):
        self.python(PRELUDE + """
memprof.start(16)
before = blocks(300)
with MemoryProfiler() as profiler:
    kept = blocks(500)
    blocks(250)
after = blocks(300)
is_near(profiler.snapshot, 500 * SIZE)
snapshot = profiler.snapshot
assert snapshot.live_samples == len(snapshot.live)
assert len(snapshot.samples) == snapshot.total_samples > snapshot.live_samples + 100
addresses = {id(block) for block in before + after}
assert not any(sample.address in addresses for sample in snapshot.live)
freed = [sample for sample in snapshot.samples if sample.lifetime_ns is not None]
error = sum(s.variance for s in snapshot.samples) ** 0.5
assert abs(snapshot.estimated_total_bytes - 750 * SIZE) < 5 * error + 400_000, snapshot
assert sum(s.size == SIZE for s in freed) > 100 and all(s.lifetime_ns < 120 * 10 ** 9 for s in freed)
assert not any("not known in full" in warning for warning in snapshot.warnings), snapshot.warnings
assert memprof.get_stats().sampling_rate_bytes == 16384
memprof.stop()
""")

    def test_a_block_starts_sampling_at_once_and_stops_it(self):
        self.python(PRELUDE + """
profiler = MemoryProfiler(sampling_rate_kb=16)
refused(RuntimeError, lambda: profiler.snapshot)
for _ in range(3):
    with profiler:
        kept = blocks(200)
    is_near(profiler.snapshot, 200 * SIZE)
refused(RuntimeError, memprof.stop)
""", SPPROF_DISABLE="0")

    def test_blocks_may_be_nested(self):
        self.python(PRELUDE + """
outer, inner = MemoryProfiler(16), MemoryProfiler(512)
with outer:
    first = blocks(300)
    with inner:
        second = blocks(300)
is_near(outer.snapshot, 600 * SIZE)
is_near(inner.snapshot, 300 * SIZE)
""")

    def test_a_function_is_profiled_each_time_that_it_is_called(self):
        self.python(PRELUDE + """
profiler = MemoryProfiler(sampling_rate_kb=16)

@profiler
def work(count):
    "its words"
    return blocks(count)

assert work.__name__ == "work" and work.__doc__ == "its words"
for count in (100, 400):
    kept = work(count)
    is_near(profiler.snapshot, count * SIZE)
""")

    def test_a_coroutine_is_profiled_until_it_ends(self):
        self.python(PRELUDE + """
import asyncio
profiler = MemoryProfiler(sampling_rate_kb=16)

@profiler
async def work():
    first = blocks(200)
    await asyncio.sleep(0)
    return first + blocks(200)

kept = asyncio.run(work())
is_near(profiler.snapshot, 400 * SIZE)
""")

    def test_one_threads_block_has_nothing_of_others(self):
        self.python(PRELUDE + """
memprof.start(16)
go, done = threading.Event(), threading.Event()
others = []

def other():
    go.wait()
    others.append(blocks(500))
    done.set()

thread = threading.Thread(target=other)
thread.start()
with MemoryProfiler() as everybody, MemoryProfiler(this_thread_only=True) as alone:
    kept = blocks(300)
    go.set()
    done.wait()
thread.join()
is_near(alone.snapshot, 300 * SIZE)
# A thread that is new has heard of the rate, so nothing of it is missing.
is_near(everybody.snapshot, 800 * SIZE, slack=5_000_000)
assert everybody.snapshot.estimated_heap_bytes > alone.snapshot.estimated_heap_bytes + 4_000_000
""")

    def test_the_blocks_own_error_comes_first(self):
        self.python(PRELUDE + """
profiler = MemoryProfiler(16)
def fail():
    with profiler:
        memprof.shutdown()
        raise KeyError("mine")
assert "mine" in refused(KeyError, fail)
""")


class Marks(UnderAgent):
    def test_a_window_is_between_two_names_of_the_program_and_of_spprofctl(self):
        self.python(PRELUDE + """
import ctypes, subprocess
memprof.start(16)
directory = memprof._profiler.client.directory
def ctl(*arguments, code=0):
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    result = subprocess.run([os.environ["SPPROF_BINDIR"] + "/spprofctl", "--socket", directory, *arguments],
                            env=environment, capture_output=True, text=True)
    assert result.returncode == code, result
    return result
def window(*options):
    heap = json.loads(ctl("snapshot", str(os.getpid()), "-f", "json", *options).stdout)
    return heap["window"], heap["totals"]["live"]["bytes"]["value"], heap["totals"]["cumulative"]["bytes"]["value"]
pid = str(os.getpid())
mark = ctypes.CDLL(None).spprof_agent_mark
mark.restype = ctypes.c_uint64
first = blocks(300)
ctl("mark", pid, "loaded")
second = blocks(300)
blocks(200)
assert mark(b"warm") > 0
third = blocks(300)
told, live, allocated = window("--since", "loaded", "--until", "warm")
assert told["cumulative_complete"] and told["since_id"] < told["until_id"], told
assert abs(live - 300 * SIZE) < 2_000_000 and abs(allocated - 500 * SIZE) < 2_500_000, (live, allocated)
told, live, allocated = window("--since", "warm")
assert told["until_id"] == 0 and abs(live - 300 * SIZE) < 2_000_000, live
told, live, allocated = window("--until", "warm")
assert not told["cumulative_complete"] and live > 500 * SIZE, (told, live)
text = ctl("snapshot", pid, "--since", "loaded", "--until", "warm").stdout
assert "only samples from id" in text and "allocated in the window" in text, text
assert "not known in full" in ctl("snapshot", pid, "--until", "warm").stdout
assert "no mark 'never'" in ctl("snapshot", pid, "--since", "never", code=2).stderr
ctl("mark", pid, "x" * 40, code=2)
ctl("mark", pid, code=2)
ctl("mark", "x", "name", code=2)
ctl("snapshot", pid, "--since", "", code=2)
""")


class Refusals(UnderAgent):
    def test_without_the_agent_the_command_that_loads_it_is_named(self):
        self.python(PRELUDE + """
assert "python3 -m spprof run" in refused(RuntimeError, memprof.start)
assert "python3 -m spprof run" in refused(RuntimeError, MemoryProfiler().__enter__)
refused(RuntimeError, memprof.stop)
refused(RuntimeError, memprof.get_snapshot)
memprof.shutdown()
""", preload=False)

    def test_an_agent_that_does_nothing_says_why(self):
        self.python(PRELUDE + 'assert "SPPROF_DISABLE" in refused(RuntimeError, memprof.start)', SPPROF_DISABLE="1")

    def test_a_rate_is_a_number_from_one(self):
        self.python(PRELUDE + """
for rate in (0, 0.5, -1, 2 ** 31, "64", None, True, float("nan")):
    refused(ValueError, memprof.start, sampling_rate_kb=rate)
    refused(ValueError, MemoryProfiler, rate)
memprof.start(sampling_rate_kb=1)
""")

    def test_each_state_allows_what_it_allows(self):
        self.python(PRELUDE + """
refused(RuntimeError, memprof.stop)
assert "start()" in refused(RuntimeError, memprof.get_snapshot)
refused(RuntimeError, memprof.get_stats)
memprof.start()
assert "already" in refused(RuntimeError, memprof.start)
memprof.stop()
refused(RuntimeError, memprof.stop)
memprof.get_snapshot()
memprof.shutdown()
memprof.shutdown()
assert "for good" in refused(RuntimeError, memprof.start)
for function in (memprof.get_snapshot, memprof.get_stats, memprof.stop):
    refused(RuntimeError, function)
""")
        self.assert_nothing_is_left()

    def test_without_a_daemon_to_start_the_reason_is_told(self):
        self.python(PRELUDE + """
os.environ["SPPROF_BINDIR"] = "/nonexistent"
os.environ["PATH"] = "/nonexistent"
from spprof import _install
_install._programs = lambda name: iter(["/nonexistent/spprofd"])
assert "spprofd is not installed" in refused(RuntimeError, memprof.start)
""")


class PrivateDaemon(UnderAgent):
    def test_it_is_no_child_and_ends_with_the_program(self):
        self.python(PRELUDE + """
memprof.start()
refused(ChildProcessError, os.wait)
""")
        self.assert_nothing_is_left()

    def test_it_outlives_the_thread_that_started_it(self):
        self.python(PRELUDE + """
thread = threading.Thread(target=memprof.start, args=(16, ))
thread.start()
thread.join()
kept = blocks(1000)
is_near(memprof.get_snapshot(), 1000 * SIZE, slack=6_000_000)
""")

    def test_it_notices_when_the_program_is_killed(self):
        source = PRELUDE + """
memprof.start()
print(memprof._profiler.daemon.directory, memprof._profiler.client.ping()["pid"], flush=True)
sys.stdin.read()
"""
        process = subprocess.Popen([sys.executable, "-c", source], env=self.env(LD_PRELOAD=os.environ.get(
            "LD_PRELOAD", "") or os.path.join(self.env()["SPPROF_AGENT"], "libspprof-agent.so")),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        directory, pid = process.stdout.readline().split()
        daemon = os.pidfd_open(int(pid))
        self.addCleanup(os.close, daemon)
        process.kill()
        process.communicate()
        import select
        self.assertTrue(select.select([daemon], [], [], 60)[0], "spprofd goes on")

    def test_another_that_answers_is_used(self):
        self.python(PRELUDE + """
memprof.start()
directory = memprof._profiler.daemon.directory
import subprocess
child = '''
from spprof import memprof
memprof.start()
assert memprof._profiler.daemon is None
assert memprof.get_snapshot().pid == __import__("os").getpid()
'''
subprocess.run([sys.executable, "-c", child], env=dict(os.environ, SPPROF_SOCKET=directory), check=True)
other = memprof.attach(os.getpid(), directory)
assert other.pid == os.getpid() and other.get_stats().sampling_rate_bytes == 512 << 10
assert other.get_snapshot().live_samples > 0
assert "no such process" in refused(RuntimeError, memprof.attach, 2 ** 22 + 1, directory)
""")


class Commands(UnderAgent):
    SCRIPT = PRELUDE + "memprof.start()\nprint(json.dumps([sys.argv, __name__, memprof.get_stats().sampling_rate_bytes]))\n"

    def setUp(self):
        super().setUp()
        with open(os.path.join(self.work, "app.py"), "w", encoding="utf-8") as file:
            file.write(self.SCRIPT.replace("memprof.start()", "memprof.start(8)"))

    def test_run_executes_a_script_under_the_agent(self):
        for interpreter in interpreters():
            with self.subTest(interpreter):
                said = self.module("run", "app.py", "-r", "x", interpreter=interpreter).stdout
                self.assertEqual(json.loads(said), [["app.py", "-r", "x"], "__main__", 8192])
                self.assert_nothing_is_left()

    def test_run_takes_modules_code_and_the_rate(self):
        said = self.module("run", "-r", "32K", "-m", "app", "y").stdout
        self.assertEqual(json.loads(said)[0][1:], ["y"])
        code = "import os; from spprof import _agent; print(_agent.stats().interval_bytes)"
        self.assertEqual(self.module("run", "-r", "32K", "--", "-c", code).stdout, "32768\n")

    def test_run_has_the_exit_code_of_the_program(self):
        self.assertEqual(self.module("run", "-c", "raise SystemExit(7)", check=False).returncode, 7)

    def test_run_writes_the_last_state_if_asked_to(self):
        self.module("run", "-o", "last.json", "-c", "kept = [bytes(20000) for _ in range(3000)]")
        with open(os.path.join(self.work, "last.json"), encoding="utf-8") as file:
            self.assertTrue(json.load(file)["process"]["exited"])
        self.assert_nothing_is_left()

    def test_env_is_what_a_shell_can_evaluate(self):
        script = f'eval "$({sys.executable} -m spprof env -r 64K)" && echo "$LD_PRELOAD $SPPROF_RATE"'
        said = subprocess.run(["sh", "-c", script], env=self.env(), check=True, capture_output=True, text=True).stdout
        self.assertEqual(said, os.path.join(self.env()["SPPROF_AGENT"], "libspprof-agent.so") + " 65536\n")

    def test_snapshot_and_stats_look_at_another_process(self):
        self.python(PRELUDE + """
import subprocess
memprof.start(16)
kept = blocks(1000)
command = [sys.executable, "-m", "spprof", "--socket", memprof._profiler.client.directory]
environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
def said(*arguments):
    return subprocess.run([*command, *arguments], env=environment, check=True, capture_output=True, text=True).stdout
pid = str(os.getpid())
assert said("snapshot", pid).startswith("live ")
said("snapshot", pid, "-o", "heap.folded", "-f", "collapsed")
assert ";" in open("heap.folded").read()
assert json.loads(said("stats", pid))["sampling_rate_bytes"] == 16384
""")

    def test_what_cannot_be_done_is_one_line(self):
        result = self.module("snapshot", str(os.getpid()), check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, "^spprof: no spprofd answers.*\n$")
        self.assertEqual(self.module("run", check=False).returncode, 2)
        self.assertEqual(self.module("run", "-r", "0", "app.py", check=False).returncode, 2)
        missing = self.module("env", check=False, SPPROF_AGENT="/nonexistent/agent.so")
        self.assertIn("SPPROF_AGENT names /nonexistent/agent.so", missing.stderr)


tap_unittest.main()
