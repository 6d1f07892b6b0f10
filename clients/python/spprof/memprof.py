"""The heap profiler of this process, or of another one.

    from spprof import memprof

    memprof.start(sampling_rate_kb=64)
    cache = load()
    snapshot = memprof.get_snapshot()
    for allocator in snapshot.top_allocators(5):
        print(allocator)
    snapshot.save("heap.speedscope.json")

The sampling itself is done by a library that has to be loaded when the program starts: `python3 -m spprof run app.py`,
or LD_PRELOAD (`python3 -m spprof env`). What it samples is kept and named outside of the process by spprofd; where none
answers, start() starts one that ends with the process.

Every number is an estimate from samples. All functions may be called from any thread, take microseconds but for
get_snapshot() (milliseconds; seconds while the names of many libraries are read for the first time), get_stats()
(milliseconds) and the start of a daemon, and hold one lock meanwhile, which none but they take. A forked child goes on in its parent's state, as a
process of its own. RuntimeError is raised where what is asked for cannot be done, ValueError for arguments that make no
sense; a program that is being profiled is never ended by either.
"""
import atexit
import functools
import inspect
import os
import threading
from types import TracebackType
from typing import Any, Callable, List, Optional, Tuple, Type, TypeVar, cast

from . import _agent, _client
from ._daemon import PrivateDaemon
from ._model import (AllocationSample, Allocator, Difference, FramePointerHealth, HeapSnapshot, MemProfStats, Stack,
                     StackFrame, diff)
from ._reading import WHOLE, Reader, Window, estimated_heap_bytes, is_confirmed

__all__ = [
    "AllocationSample", "Allocator", "Difference", "FramePointerHealth", "HeapSnapshot", "MemProfStats",
    "MemoryProfiler", "RemoteProcess", "Stack", "StackFrame", "attach", "diff", "get_snapshot", "get_stats", "shutdown",
    "start", "stop",
]

_MAX_RATE_KB = 1 << 30
_MAX_DESCENDANTS = 255


def _nudge() -> None:
    """The agent tells what lives with its slow paths: one comes with so many bytes of this thread's allocations."""
    for _ in range(64):
        bytearray(1 << 16)


def _children(pid: int) -> List[int]:
    """Of all its threads. None, where the kernel does not tell (or they are gone)."""
    found: List[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found


def _introduce(client: _client.Client, pid: int, left: int = _MAX_DESCENDANTS) -> int:
    """Asks a private daemon for each descendant: it looks for none by itself. Returns how many more may be asked for."""
    for child in _children(pid):
        if left <= 0:
            break
        left -= 1
        try:
            client.stats(child)
        except _client.DaemonError:
            pass  # without the agent, or with nothing of its own yet
        left = _introduce(client, child, left)
    return left


class _Profiler:
    """This process: what was started, and the daemon that is asked. `lock` guards all of it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_started = False
        self.was_started = False
        self.is_shut_down = False
        self.blocks = 0  # of MemoryProfilers
        self.is_started_by_blocks = False
        self.windows_at: Optional[Tuple[int, str]] = None  # process and daemon that keeps deaths for windows
        self.client: Optional[_client.Client] = None
        self.daemon: Optional[PrivateDaemon] = None

    def after_fork(self) -> None:
        self.lock = threading.RLock()
        if self.daemon:
            self.daemon.forget()
            self.daemon = None

    def connect(self) -> Reader:
        """The daemon that knows this process, searched for or started."""
        if self.client is None or not self._is_known_to(self.client):
            self.client = self._find()
        return Reader(self.client, os.getpid(), _nudge)

    def _find(self) -> _client.Client:
        try:
            client = _client.find()
            if self._is_known_to(client):
                return client
        except _client.NoDaemonError:
            pass
        self._end_daemon()
        self.daemon = PrivateDaemon()
        try:
            self.daemon.client.stats(os.getpid())
        except BaseException:
            self._end_daemon()
            raise
        return self.daemon.client

    def _is_known_to(self, client: _client.Client) -> bool:
        for _ in range(3):
            try:
                client.stats(os.getpid())
                return True
            except _client.NoDaemonError:
                return False
            except _client.DaemonError as error:
                if not error.is_unknown_process:
                    raise
            # A forked child becomes a process of its own when it allocates.
            _nudge()
        return False

    def _end_daemon(self) -> None:
        daemon, self.daemon, self.client = self.daemon, None, None
        if daemon:
            daemon.stop()

    def start(self, sampling_rate_kb: float) -> None:
        if self.is_shut_down:
            raise RuntimeError("spprof was shut down in this process, which is for good: restart the program")
        if self.is_started_by_blocks:
            # What a MemoryProfiler started goes on now.
            self.is_started_by_blocks = False
        elif self.is_started:
            raise RuntimeError("spprof is started already: stop() it first to start it with another rate")
        _agent.stats()  # refuses where there is none
        self.connect()
        _agent.set_interval(round(sampling_rate_kb * 1024))
        _agent.start()
        self.is_started = self.was_started = True

    def stop(self) -> None:
        if not self.is_started:
            raise RuntimeError("spprof is not started")
        _agent.stop()
        self.is_started = self.is_started_by_blocks = False

    def enter_block(self, sampling_rate_kb: float) -> None:
        if not self.is_started:
            self.start(sampling_rate_kb)
            self.is_started_by_blocks = True
        self.blocks += 1
        try:
            self._keep_deaths()
        except BaseException:
            self.leave_block()
            raise

    def _keep_deaths(self) -> None:
        client = self.connect().client if self.client is None else self.client
        if self.windows_at != (os.getpid(), client.directory):
            client.mark(os.getpid())
            self.windows_at = os.getpid(), client.directory

    def leave_block(self) -> None:
        self.blocks -= 1
        if self.blocks == 0 and self.is_started_by_blocks:
            self.stop()

    def shutdown(self) -> None:
        if self.is_shut_down:
            return
        if _agent.is_loaded():
            _agent.shutdown()
        self._end_daemon()
        self.is_started, self.is_shut_down = False, True

    def reader(self) -> Reader:
        if self.is_shut_down:
            raise RuntimeError("spprof was shut down in this process")
        if not self.was_started:
            raise RuntimeError("spprof has not been started in this process: call start() first")
        return self.connect()

    def at_exit(self) -> None:
        with self.lock:
            self._end_daemon()


_profiler = _Profiler()
atexit.register(_profiler.at_exit)
os.register_at_fork(after_in_child=_profiler.after_fork)


def _check_rate(sampling_rate_kb: float) -> None:
    if isinstance(sampling_rate_kb, bool) or not isinstance(sampling_rate_kb, (int, float)) or \
            not 1 <= sampling_rate_kb <= _MAX_RATE_KB:
        raise ValueError(f"sampling_rate_kb must be a number from 1 to {_MAX_RATE_KB}, not {sampling_rate_kb!r}")


def start(sampling_rate_kb: float = 512) -> None:
    """Samples from now on, once in sampling_rate_kb KiB (1024 bytes) of allocations on average, and finds a spprofd
    or starts a private one. What was sampled since the program's start stays; it is stopped or sampling then.

    ValueError: sampling_rate_kb is below 1 or above 2**30. RuntimeError: it is started already or was shut down; the
    agent is not loaded; no spprofd answers and none can be started."""
    _check_rate(sampling_rate_kb)
    with _profiler.lock:
        _profiler.start(sampling_rate_kb)


def stop() -> None:
    """No new samples. Frees of what was sampled are tracked on, so that nothing looks leaked that is not; snapshots
    can be taken.

    RuntimeError: it is not started."""
    with _profiler.lock:
        _profiler.stop()


def shutdown() -> None:
    """Stops for good, and ends the private spprofd. start() and get_snapshot() fail from now on, in this process and
    in children that it forks. Does nothing the second time, and without an agent."""
    with _profiler.lock:
        _profiler.shutdown()


def get_snapshot(*, descendants: bool = False) -> HeapSnapshot:
    """What lives now, of this process. It goes on meanwhile; only the caller waits.

    With `descendants` also of the processes that were forked from it, directly or by others, that live and have
    allocated some 64 KiB since: what several of them have inherited is counted once, at the nearest to the root that has
    it still; `processes` says of how many it is, and AllocationSample.pid whose each sample is. 256 processes and
    2,097,152 samples at most. Where start() has started a spprofd of its own: as far as the parents of each live, too.

    RuntimeError: start() was never called, or shutdown() was; spprofd does not answer."""
    with _profiler.lock:
        reader = _profiler.reader()
        is_private = _profiler.daemon is not None
    if descendants and is_private:
        _introduce(reader.client, reader.pid)
    return reader.snapshot(descendants=descendants)


def get_stats() -> MemProfStats:
    """Counters of this process as the agent has them now, and spprofd's estimate of what lives. Before it answers,
    spprofd takes in all that the agent has told; samples that are being told at that moment are missing. If it came
    late, was restarted or lost records, it is told again first what lives, as for get_snapshot(): this thread allocates
    (and frees) up to 80 MiB in small steps meanwhile, and where that did not suffice, `is_confirmed` is False.

    RuntimeError: start() was never called, or shutdown() was; spprofd does not answer."""
    with _profiler.lock:
        reader = _profiler.reader()
    answer = reader.settle()
    live, stats = estimated_heap_bytes(answer), _agent.stats()
    return MemProfStats(
        total_samples=stats.samples, live_samples=stats.live_samples, freed_samples=stats.freed_samples,
        unique_stacks=stats.unique_stacks, estimated_heap_bytes=live,
        heap_map_load_percent=100.0 * stats.live_samples / stats.map_slots if stats.map_slots else 0.0,
        collisions=stats.map_collisions, sampling_rate_bytes=stats.interval_bytes, lost_samples=stats.lost_samples,
        is_confirmed=is_confirmed(answer))


class RemoteProcess:
    """Another process that runs under the agent. Any thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def pid(self) -> int:
        return self._reader.pid

    def get_snapshot(self, *, descendants: bool = False) -> HeapSnapshot:
        """What lives in it now; after its end, for a while, what lived then. With `descendants` as memprof.get_snapshot();
        those of other users, which the caller may not see, are left out, and a warning says how many. RuntimeError: it
        is not known any more, or spprofd does not answer."""
        return self._reader.snapshot(descendants=descendants)

    def get_stats(self) -> MemProfStats:
        """Its counters, and the estimate of what lives: of all that it had told when spprofd answered. Nothing makes it
        tell more: while spprofd does not know all of it (`is_confirmed` False) the estimate may be far off. RuntimeError:
        as get_snapshot()."""
        return self._reader.stats()


def attach(pid: int, socket_dir: Optional[str] = None) -> RemoteProcess:
    """Another process on this host that runs under the agent, by the spprofd in `socket_dir`, or by the first that
    answers in the usual places (SPPROF_SOCKET). Nothing changes in that process.

    ValueError: pid is below 1. RuntimeError: no spprofd answers; there is no such process, it has no agent, or it is
    another user's."""
    if pid < 1:
        raise ValueError(f"{pid} is not a process id")
    client = _client.find(socket_dir)
    client.stats(pid)
    return RemoteProcess(Reader(client, pid))


_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Block:
    """One run of a profiled block: from enter() to leave(), by whichever threads."""

    def __init__(self, profiler: "MemoryProfiler") -> None:
        self.profiler = profiler
        self.thread_id = threading.get_native_id() if profiler.this_thread_only else 0
        with _profiler.lock:
            _profiler.enter_block(profiler.sampling_rate_kb)
        self.since = _agent.mark()

    def leave(self) -> HeapSnapshot:
        until = _agent.mark()
        try:
            with _profiler.lock:
                reader = _profiler.reader()
            return reader.snapshot(Window(self.since, until, self.thread_id))
        finally:
            with _profiler.lock:
                _profiler.leave_block()


class MemoryProfiler:
    """What a block of code allocates:

        with MemoryProfiler() as profiler:
            work()
        profiler.snapshot.save("work.speedscope.json")

    or a function, each time that it is called (`snapshot` is of the call that ended last):

        profiler = MemoryProfiler()

        @profiler
        def work(): ...

    Starts sampling at `sampling_rate_kb` if it is not started, and stops it when the last such block ends; if it is
    started, the rate stays as it is. The window is one of time: unless this_thread_only is set it has what other threads
    allocated meanwhile, too. An entry costs microseconds (the first one of a process asks spprofd), an exit a snapshot.

    Blocks may be nested; decorated functions may be called from any thread, recursively, and be coroutines (what other
    tasks allocate while one waits is in its window). Of a generator only the call is profiled, not its running.

    ValueError, RuntimeError: as start() and get_snapshot(). An error of the block itself goes before one of the
    snapshot."""

    def __init__(self, sampling_rate_kb: float = 512, *, this_thread_only: bool = False) -> None:
        _check_rate(sampling_rate_kb)
        self.sampling_rate_kb = sampling_rate_kb
        self.this_thread_only = this_thread_only
        self._snapshot: Optional[HeapSnapshot] = None
        self._blocks = threading.local()

    @property
    def snapshot(self) -> HeapSnapshot:
        """What the block allocated: `live`, `live_samples` and `estimated_heap_bytes` are of what had not been freed at
        its end; `samples`, `total_samples` and `estimated_total_bytes` have what was freed, too (a warning says if spprofd
        does not know all of that). RuntimeError: no block has ended."""
        if self._snapshot is None:
            raise RuntimeError("no block that this MemoryProfiler profiles has ended")
        return self._snapshot

    def __enter__(self) -> "MemoryProfiler":
        entered: List[_Block] = self._blocks.__dict__.setdefault("entered", [])
        entered.append(_Block(self))
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self._leave(self._blocks.entered.pop(), error)

    def _leave(self, block: _Block, error: Optional[BaseException]) -> None:
        try:
            self._snapshot = block.leave()
        except RuntimeError:
            if error is None:
                raise

    def __call__(self, function: _Function) -> _Function:
        if inspect.iscoroutinefunction(function):
            @functools.wraps(function)
            async def call_async(*arguments: Any, **named: Any) -> Any:
                block = _Block(self)
                try:
                    result = await function(*arguments, **named)
                except BaseException as error:
                    self._leave(block, error)
                    raise
                self._leave(block, None)
                return result
            return cast(_Function, call_async)

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with self:
                return function(*arguments, **named)
        return cast(_Function, call)
