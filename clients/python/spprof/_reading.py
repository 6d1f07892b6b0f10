"""From spprofd's answers to snapshots and statistics of one process. Nothing is kept; any thread."""
import json
import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ._client import Client
from ._model import AllocationSample, FramePointerHealth, HeapSnapshot, MemProfStats, Stack, StackFrame
from ._protobuf import Message, ProtocolError
from ._schema import ENUMS

#: For names; a process that has just started has all of its libraries to be read.
NAMES_SECONDS = 10.0
_FEW_SAMPLES = 30

Json = Dict[str, Any]


class Window(NamedTuple):
    """The samples with since_id <= id < until_id, of one thread (0: of all)."""
    since_id: int = 0
    until_id: int = 0  #: 0: no bound
    thread_id: int = 0


WHOLE = Window()


def _frames(heap: Json) -> List[StackFrame]:
    modules = [module["path"] for module in heap["modules"]]
    return [StackFrame(
        address=int(frame["address"] or "0", 16), function=frame["function"], file=frame["file"], line=frame["line"],
        is_python=frame.get("python", False),
        module=modules[frame["module"]] if frame["module"] is not None else "") for frame in heap["frames"]]


def _stacks(heap: Json) -> List[Stack]:
    frames = _frames(heap)
    return [tuple(frames[index] for index in site["stack"]) for site in heap["sites"]]


def _sample(told: Json, stacks: List[Stack], pid: int) -> AllocationSample:
    size = told["size"]
    chance = -math.expm1(-size / told["interval"])
    freed = told.get("freed_unix_ns")
    return AllocationSample(
        address=int(told["address"], 16), size=size, weight=1 / chance, estimated_bytes=size / chance,
        timestamp_ns=told["time_unix_ns"], lifetime_ns=None if freed is None else max(0, freed - told["time_unix_ns"]),
        stack=stacks[told["site"]], id=told["id"], thread_id=told["thread"], pid=told.get("pid", pid))


def _health(heap: Json, stats: Message) -> FramePointerHealth:
    quality = heap["quality"]
    cut = quality["stacks_truncated"] + quality["stacks_stopped"]
    total = quality["stacks_whole"] + cut
    depths = [(len(site["stack"]), site["live"]["samples"]) for site in heap["sites"] if site["stack"]]
    counted = sum(samples for _, samples in depths)
    return FramePointerHealth(
        shallow_stack_warnings=cut, total_native_stacks=total,
        avg_native_depth=sum(depth * samples for depth, samples in depths) / counted if counted else 0.0,
        min_native_depth=min((depth for depth, samples in depths if samples), default=0),
        truncation_rate=cut / total if total else 0.0,
        advice=stats.get("capture", {}).get("recommendation", ""))


def _warnings(heap: Json, health: FramePointerHealth) -> Tuple[str, ...]:
    quality, samples = heap["quality"], heap["totals"]["live"]["samples"]
    found = []
    if samples < _FEW_SAMPLES:
        found.append(f"few samples ({samples}): only the total is worth reading; sample at a smaller rate")
    if quality["lost_samples"]:
        found.append(f"{quality['lost_samples']} samples (about {quality['lost_bytes']} bytes) were lost")
    if quality["folded_samples"]:
        found.append(f"{quality['folded_samples']} samples met a bound of spprofd's memory and have no stack of their own")
    if quality["unconfirmed"]:
        found.append("unconfirmed: " + quality["unconfirmed_reason"])
    if health.confidence in ("medium", "low"):
        found.append(f"{health.truncation_rate:.0%} of the stacks are cut short: {health.recommendation}")
    if quality["locations_unresolved"]:
        found.append(f"{quality['locations_unresolved']} of {quality['locations_total']} places in code have no name")
    family = heap.get("family", {})
    if family.get("left_out"):
        found.append(f"{family['left_out']} descendants are left out: of another user, or past the first 256 processes")
    if family.get("unmatched_samples"):
        found.append(f"{family['unmatched_samples']} samples that were inherited may be counted more than once")
    if not heap.get("window", {}).get("cumulative_complete", True):
        found.append("what was allocated and freed within the window is not known in full")
    return tuple(found)


def build(heap: Json, stats: Message, window: Window = WHOLE) -> HeapSnapshot:
    """Of a JSON export with samples (docs/formats.md) and a StatsResponse. LookupError and others: it is none."""
    stacks = _stacks(heap)
    live, cumulative = heap["totals"]["live"], heap["totals"]["cumulative"]
    health = _health(heap, stats)
    # Each sample has an id of its own, so that ids count also what is gone.
    counted = window.until_id and not window.thread_id
    total = window.until_id - window.since_id if counted else cumulative["samples"]
    return HeapSnapshot(
        samples=[_sample(told, stacks, heap["process"]["pid"]) for told in heap["samples"]],
        total_samples=total, live_samples=live["samples"],
        estimated_heap_bytes=live["bytes"]["value"], timestamp_ns=heap["taken_unix_ns"], frame_pointer_health=health,
        pid=heap["process"]["pid"], sampling_rate_bytes=heap["interval_bytes"],
        estimated_heap_low=live["bytes"]["low"], estimated_heap_high=live["bytes"]["high"],
        estimated_total_bytes=cumulative["bytes"]["value"], warnings=_warnings(heap, health),
        processes=heap.get("family", {}).get("processes", 1))


class Reader:
    """One process at one daemon. `nudge` is called, a few times at most, while the daemon's copy is not confirmed."""

    def __init__(self, client: Client, pid: int, nudge: Optional[Callable[[], None]] = None) -> None:
        self.client = client
        self.pid = pid
        self.nudge = nudge

    def _heap(self, window: Window, descendants: bool) -> Json:
        data = self.client.snapshot({
            "pid": self.pid, "format": ENUMS["SnapshotRequest.Format"]["JSON"], "samples": True,
            "timeout_ms": int(NAMES_SECONDS * 1000), "since_id": window.since_id, "until_id": window.until_id,
            "tid": window.thread_id, "descendants": descendants})
        heap: Json = json.loads(data)
        if heap["format"] != "spprof.snapshot/1":
            raise ProtocolError(f"spprofd answers in a format that this package does not know: {heap['format']}")
        return heap

    def settle(self) -> Message:
        """Gives a daemon that came late the occasion to be told what lives. Its last StatsResponse."""
        stats = self.client.stats(self.pid)
        for _ in range(20 if self.nudge else 0):
            if is_confirmed(stats) or not self.nudge:
                break
            self.nudge()
            stats = self.client.stats(self.pid)
        return stats

    def snapshot(self, window: Window = WHOLE, descendants: bool = False) -> HeapSnapshot:
        """Not both: a window is one of a process's own ids."""
        if self.nudge:
            self.settle()
        try:
            heap = self._heap(window, descendants)
            return build(heap, self.client.stats(self.pid), window)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise ProtocolError(f"spprofd's snapshot is not understood: {error!r}") from error

    def stats(self) -> MemProfStats:
        """By the daemon's counters."""
        answer = self.client.stats(self.pid)
        counters = {counter["name"]: counter.get("value", 0.0) for counter in answer.get("counters", [])}

        def count(name: str) -> int:
            return int(counters.get(name, 0))

        return MemProfStats(
            total_samples=count("agent_samples"), live_samples=count("agent_live_samples"),
            freed_samples=count("agent_sampled_deaths"), unique_stacks=count("unique_stacks"),
            estimated_heap_bytes=estimated_heap_bytes(answer),
            heap_map_load_percent=counters.get("agent_map_load_percent", 0.0),
            collisions=count("agent_map_collisions"), sampling_rate_bytes=count("agent_interval_bytes"),
            is_confirmed=is_confirmed(answer), lost_samples=sum(count(name) for name in counters if name.startswith("lost_") and not name.endswith("_bytes")
                             and name != "lost_death_unwritten"))


def is_confirmed(stats: Message) -> bool:
    return not stats.get("process", {}).get("unconfirmed", False)


def estimated_heap_bytes(stats: Message) -> int:
    return int(stats.get("live_bytes", {}).get("value", 0.0) + 0.5)
