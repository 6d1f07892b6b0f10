"""What a heap is told in: samples, frames, snapshots, their differences. Plain values; nothing here asks anybody.

The rule behind the numbers is docs/sampling.md: an allocation of s bytes is sampled with p = 1 - exp(-s/T), where T is
the sampling interval, so that a sample stands for 1/p allocations and s/p bytes, and adds s^2 (1-p) / p^2 to the
variance of a sum of bytes.
"""
import math
import os
from dataclasses import dataclass, field
from typing import Callable, Dict, Iterable, List, Optional, Tuple, Union


@dataclass(frozen=True)
class StackFrame:
    """One call of a stack: a function of Python or of machine code, at the line where it was."""
    address: int  #: of the call in the process; 0 for Python frames, which have none
    function: str  #: qualified where that is known; "[libc.so.6+0x1234]" for code without a name
    file: str  #: source file, "" if unknown
    line: int  #: 0 if unknown
    is_python: bool
    module: str = ""  #: the program or library that machine code is in

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.file and self.line else self.file or os.path.basename(self.module)
        return f"{self.function} ({where})" if where else self.function


#: Innermost call first. The samples of one stack share one tuple.
Stack = Tuple[StackFrame, ...]


@dataclass(frozen=True)
class AllocationSample:
    """One allocation that was sampled, and what it stands for."""
    address: int
    size: int  #: bytes asked for
    weight: float  #: allocations of this size that the sample stands for, 1/p
    estimated_bytes: float  #: bytes that it stands for, size/p
    timestamp_ns: int  #: of the allocation, since the Unix epoch; exact to about 4 ms
    lifetime_ns: Optional[int]  #: None: it lives
    stack: Stack
    id: int = 0  #: unique in its process, rising with time
    thread_id: int = 0  #: as threading.get_native_id()
    pid: int = 0  #: the process that has it; of several that have inherited it, the one in which it is counted

    @property
    def variance(self) -> float:
        """Of estimated_bytes, in bytes squared: s^2 (1-p) / p^2."""
        return self.estimated_bytes * max(0.0, self.estimated_bytes - self.size)


@dataclass(frozen=True)
class FramePointerHealth:
    """How far native stacks can be trusted (the stacks are found by unwind tables; frame pointers are what code
    without tables is left by)."""
    shallow_stack_warnings: int  #: stacks that were not followed to their outermost frame
    total_native_stacks: int  #: stacks seen, by samples
    avg_native_depth: float  #: frames of a live sample's stack
    min_native_depth: int
    truncation_rate: float  #: shallow_stack_warnings / total_native_stacks, 0 to 1
    advice: str = ""  #: spprofd's, to the module with most trouble

    @property
    def confidence(self) -> str:
        """"high": under 5 % of the stacks are cut short, "medium": 5 to 20 %, "low": more; "unknown" without any."""
        if self.total_native_stacks == 0:
            return "unknown"
        return "high" if self.truncation_rate < 0.05 else "medium" if self.truncation_rate <= 0.20 else "low"

    @property
    def recommendation(self) -> str:
        """What to do, one line."""
        if self.advice:
            return self.advice
        return {"unknown": "no stack has been seen yet: allocate more, or sample at a smaller interval",
                "high": "nothing: callers are what they seem",
                "medium": "some outermost callers are missing: compare sites by their innermost frames",
                "low": "install debug symbols or build with -fno-omit-frame-pointer: many stacks are cut short",
                }[self.confidence]


@dataclass(frozen=True)
class Allocator:
    """The samples that one line allocated."""
    frame: StackFrame
    estimated_bytes: float
    estimated_objects: float
    samples: int  #: that the estimates come from
    standard_error_bytes: float
    share: float  #: of the snapshot's estimated bytes, 0 to 1

    @property
    def function(self) -> str:
        return self.frame.function

    @property
    def file(self) -> str:
        return self.frame.file

    @property
    def line(self) -> int:
        return self.frame.line

    def __str__(self) -> str:
        return (f"{self.estimated_bytes / 1048576:.2f} MiB +- {self.standard_error_bytes / 1048576:.2f} "
                f"({self.samples} samples, {self.share:.1%}): {self.frame}")


def allocating_frame(stack: Stack) -> StackFrame:
    """The frame to blame: the innermost one of Python; without any, the innermost that is no allocator by its name
    (as spprofctl's tables have it, four of these at most)."""
    for frame in stack:
        if frame.is_python:
            return frame
    for frame in stack[:5]:
        if "alloc" not in frame.function.rpartition("::")[2].lower():
            return frame
    return stack[0] if stack else StackFrame(0, "[other]", "", 0, False)


@dataclass(frozen=True)
class HeapSnapshot:
    """What was allocated and not freed at one moment: of a whole process, of a window of time (MemoryProfiler), or of a
    process and its forked descendants.

    A value: nothing in it changes afterwards. Any thread."""
    samples: List[AllocationSample]  #: live ones; in a window also those that were freed in it, as far as known
    total_samples: int  #: allocations sampled in all, freed or not
    live_samples: int
    estimated_heap_bytes: int  #: of the live ones
    timestamp_ns: int  #: when it was taken, since the Unix epoch
    frame_pointer_health: FramePointerHealth
    pid: int = 0
    sampling_rate_bytes: int = 0  #: mean bytes between sample points, when it was taken
    estimated_heap_low: int = 0  #: 95 % interval of estimated_heap_bytes
    estimated_heap_high: int = 0
    estimated_total_bytes: int = 0  #: allocated in all, freed or not
    warnings: Tuple[str, ...] = field(default=())  #: what a reader must know before believing the numbers
    processes: int = 1  #: that it is of: `pid` and its descendants

    @property
    def live(self) -> List[AllocationSample]:
        return [sample for sample in self.samples if sample.lifetime_ns is None]

    def top_allocators(self, n: int = 10) -> List[Allocator]:
        """The n lines that hold most live bytes, the largest first. ValueError: n < 1."""
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        groups = grouped(self.live, lambda sample: _place(allocating_frame(sample.stack)))
        total = sum(sample.estimated_bytes for sample in self.live)
        allocators = [_allocator(group, total) for group in groups.values()]
        return sorted(allocators, key=lambda allocator: -allocator.estimated_bytes)[:n]

    def save(self, path: Union[str, "os.PathLike[str]"], format: str = "speedscope") -> None:
        """Writes the live bytes by stack: "speedscope" (https://www.speedscope.app), "collapsed" (flamegraph.pl) or
        "pprof" (go tool pprof). The file is replaced at once, or left as it was.

        ValueError: another format. OSError: it cannot be written."""
        from . import _export
        _export.save(self, os.fspath(path), format)


def _place(frame: StackFrame) -> Tuple[str, str, int]:
    return frame.function, frame.file, frame.line


def grouped(samples: Iterable[AllocationSample],
            key: Callable[[AllocationSample], object]) -> Dict[object, List[AllocationSample]]:
    groups: Dict[object, List[AllocationSample]] = {}
    for sample in samples:
        groups.setdefault(key(sample), []).append(sample)
    return groups


def _allocator(samples: List[AllocationSample], total: float) -> Allocator:
    estimated = sum(sample.estimated_bytes for sample in samples)
    return Allocator(
        frame=allocating_frame(samples[0].stack), estimated_bytes=estimated,
        estimated_objects=sum(sample.weight for sample in samples), samples=len(samples),
        standard_error_bytes=math.sqrt(sum(sample.variance for sample in samples)),
        share=estimated / total if total else 0.0)


@dataclass(frozen=True)
class Difference:
    """One stack's live bytes in two snapshots."""
    stack: Stack
    before_bytes: float
    after_bytes: float
    before_samples: int
    after_samples: int
    standard_error_bytes: float  #: of growth_bytes; what is in both snapshots adds nothing to it

    @property
    def growth_bytes(self) -> float:
        return self.after_bytes - self.before_bytes

    @property
    def is_significant(self) -> bool:
        """Whether the growth is beyond what chance gives in 95 of 100 cases."""
        return abs(self.growth_bytes) > 1.96 * self.standard_error_bytes


def diff(before: HeapSnapshot, after: HeapSnapshot) -> List[Difference]:
    """What has grown from one snapshot to the other, by stack, the largest growth first, what has shrunk last; stacks
    that hold the same samples in both are left out. Any thread."""
    def key(sample: AllocationSample) -> object:
        return tuple(map(_place, sample.stack))

    old, new = grouped(before.live, key), grouped(after.live, key)
    differences = [_difference(old.get(stack, []), new.get(stack, [])) for stack in {**old, **new}]
    return sorted((d for d in differences if d is not None), key=lambda d: -d.growth_bytes)


def _difference(old: List[AllocationSample], new: List[AllocationSample]) -> Optional[Difference]:
    def identity(sample: AllocationSample) -> Tuple[int, int, int, int]:
        # Processes that were forked from one give the same ids, and often the same addresses.
        return sample.pid, sample.id, sample.address, sample.size

    same = set(map(identity, old)) & set(map(identity, new))
    changed = [sample for sample in old + new if identity(sample) not in same]
    if not changed:
        return None
    return Difference(
        stack=(new or old)[0].stack, before_bytes=sum(s.estimated_bytes for s in old),
        after_bytes=sum(s.estimated_bytes for s in new), before_samples=len(old), after_samples=len(new),
        standard_error_bytes=math.sqrt(sum(sample.variance for sample in changed)))


@dataclass(frozen=True)
class MemProfStats:
    """Counters of one process since the agent was loaded, or since the fork that made the process."""
    total_samples: int
    live_samples: int
    freed_samples: int
    unique_stacks: int
    estimated_heap_bytes: int  #: of what lives; a sum of samples' weights, with no interval of its own: take a snapshot
    heap_map_load_percent: float  #: live samples in the agent's map, by its slots; it grows by itself
    collisions: int  #: samples that did not get the first slot of their window in that map
    sampling_rate_bytes: int  #: mean bytes between sample points now in force, which the agent may have raised
    lost_samples: int = 0  #: that could not be kept or told
    is_confirmed: bool = True  #: False: spprofd has not been told all that lives, so estimated_heap_bytes may be off
