"""The agent in this very process, by the C functions of <spprof/spprof.h>. Any thread; survives forks."""
import ctypes
from enum import IntEnum
from typing import Callable, Optional


class State(IntEnum):
    """enum spprof_state."""
    SAMPLING = 0
    STOPPED = 1
    SHUT_DOWN = 2
    UNATTACHED = 3
    INERT = 4


class Stats(ctypes.Structure):
    """struct spprof_stats: counters of this process since the agent was loaded or since the fork that made it."""
    _fields_ = [("state", ctypes.c_uint32), ("reserved", ctypes.c_uint32)] + [
        (name, ctypes.c_uint64) for name in (
            "interval_bytes", "samples", "live_samples", "freed_samples", "lost_samples", "lost_bytes",
            "unique_stacks", "map_slots", "map_collisions")]

    state: int
    interval_bytes: int
    samples: int
    live_samples: int
    freed_samples: int
    lost_samples: int
    lost_bytes: int
    unique_stacks: int
    map_slots: int
    map_collisions: int


_ERRORS = {
    -2: "the agent is loaded but does nothing: SPPROF_DISABLE is set, or it could not have what it needs (a memfd)",
    -3: "spprof was shut down in this process",
    -4: "the sampling rate must be from 1 byte to 1 TiB",
}


class NotLoadedError(RuntimeError):
    """The agent is not in this process."""


def _function(name: str) -> Optional[Callable[..., int]]:
    try:
        return getattr(ctypes.CDLL(None), "spprof_agent_" + name)  # type: ignore[no-any-return]
    except AttributeError:
        return None


def is_loaded() -> bool:
    return _function("stats") is not None


def _call(name: str, *arguments: object) -> int:
    function = _function(name)
    if function is None:
        raise NotLoadedError(
            "the spprof agent is not loaded in this process, and can only be loaded when a program starts: start it with "
            "`python3 -m spprof run PROGRAM.py`, or with LD_PRELOAD as `python3 -m spprof env` says")
    result = function(*arguments)
    if result < 0:
        raise RuntimeError(_ERRORS.get(result, f"the spprof agent refused ({result})"))
    return result


def start() -> None:
    _call("start")


def stop() -> None:
    _call("stop")


def shutdown() -> None:
    _call("shutdown")


def set_interval(interval_bytes: int) -> None:
    _call("set_interval", ctypes.c_uint64(interval_bytes))


def stats() -> Stats:
    out = Stats()
    _call("stats", ctypes.byref(out), ctypes.c_size_t(ctypes.sizeof(out)))
    return out


def mark() -> int:
    """The id that the next sample will have, at least: what is sampled from now on has this one or a higher one."""
    function = _function("mark")
    if function is None:
        raise NotLoadedError("the agent in this process is older than this package and knows no marks")
    function.restype = ctypes.c_uint64  # type: ignore[attr-defined]
    return int(function(None))
