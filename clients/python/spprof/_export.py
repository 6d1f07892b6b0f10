"""A snapshot's live bytes as files for other programs. The whole is written beside the file and renamed."""
import gzip
import json
import math
import os
import threading
from typing import Any, Callable, Dict, List, Tuple

from . import _protobuf
from ._model import HeapSnapshot, Stack, StackFrame, grouped

#: Of https://github.com/google/pprof/blob/main/proto/profile.proto, what is written here.
_PROFILE = {
    "Profile": {
        1: ("sample_type", "message", "ValueType", True),
        2: ("sample", "message", "Sample", True),
        4: ("location", "message", "Location", True),
        5: ("function", "message", "Function", True),
        6: ("string_table", "string", "", True),
        9: ("time_nanos", "uint64", "", False),
        11: ("period_type", "message", "ValueType", False),
        12: ("period", "uint64", "", False),
        13: ("comment", "uint64", "", True),
        14: ("default_sample_type", "uint64", "", False),
    },
    "ValueType": {1: ("type", "uint64", "", False), 2: ("unit", "uint64", "", False)},
    "Sample": {1: ("location_id", "uint64", "", True), 2: ("value", "uint64", "", True)},
    "Location": {1: ("id", "uint64", "", False), 3: ("address", "uint64", "", False),
                 4: ("line", "message", "Line", True)},
    "Line": {1: ("function_id", "uint64", "", False), 2: ("line", "uint64", "", False)},
    "Function": {1: ("id", "uint64", "", False), 2: ("name", "uint64", "", False),
                 3: ("system_name", "uint64", "", False), 4: ("filename", "uint64", "", False)},
}


class _Rounded:
    """Whole numbers that add up to the rounded sum: each is round(sum so far) minus what was given before."""

    def __init__(self) -> None:
        self.sum, self.given = 0.0, 0

    def next(self, value: float) -> int:
        self.sum += value
        rounded = math.floor(self.sum + 0.5) - self.given
        self.given += rounded
        return rounded


def _stacks(snapshot: HeapSnapshot) -> List[Tuple[Stack, float, float]]:
    """(stack, bytes, objects), the most bytes first."""
    groups = grouped(snapshot.live, lambda sample: sample.stack).values()
    sums = [(group[0].stack, sum(s.estimated_bytes for s in group), sum(s.weight for s in group)) for group in groups]
    return sorted(sums, key=lambda stack: -stack[1])


def _folded_name(name: str) -> str:
    name = "".join("?" if ord(c) < 32 or ord(c) == 127 else c for c in name.replace(";", ":"))
    return name.encode("utf-8", "replace").decode()


def collapsed(snapshot: HeapSnapshot) -> bytes:
    """root;caller;...;leaf bytes: one line for each distinct row of names, sorted."""
    lines: Dict[str, float] = {}
    for stack, size, _ in _stacks(snapshot):
        name = ";".join(_folded_name(frame.function) for frame in reversed(stack)) or "[other]"
        lines[name] = lines.get(name, 0.0) + size
    rounded = _Rounded()
    return "".join(f"{name} {rounded.next(size)}\n" for name, size in sorted(lines.items())).encode()


def speedscope(snapshot: HeapSnapshot) -> bytes:
    """https://www.speedscope.app/file-format-schema.json: one profile of the type "sampled", in bytes."""
    numbers: Dict[Tuple[str, str, int], int] = {}
    rounded = _Rounded()
    samples, weights = [], []
    for stack, size, _ in _stacks(snapshot):
        keys = [(frame.function, frame.file, frame.line) for frame in reversed(stack)] or [("[other]", "", 0)]
        samples.append([numbers.setdefault(key, len(numbers)) for key in keys])
        weights.append(rounded.next(size))
    frames = []
    for function, file, line in numbers:
        frame: Dict[str, Any] = {"name": function}
        if file:
            frame["file"] = file
        if line:
            frame["line"] = line
        frames.append(frame)
    name = f"live heap of {snapshot.pid}: {snapshot.live_samples} samples, one per {snapshot.sampling_rate_bytes} bytes"
    return json.dumps({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "spprof", "name": name, "activeProfileIndex": 0,
        "shared": {"frames": frames},
        "profiles": [{"type": "sampled", "name": name, "unit": "bytes", "startValue": 0, "endValue": sum(weights),
                      "samples": samples, "weights": weights}],
    }).encode()


class _Pprof:
    def __init__(self) -> None:
        self.strings: Dict[str, int] = {"": 0}
        self.functions: Dict[Tuple[str, str], int] = {}
        self.locations: Dict[StackFrame, int] = {}

    def string(self, text: str) -> int:
        return self.strings.setdefault(text.encode("utf-8", "replace").decode(), len(self.strings))

    def location(self, frame: StackFrame) -> int:
        self.functions.setdefault((frame.function, frame.file), len(self.functions) + 1)
        return self.locations.setdefault(frame, len(self.locations) + 1)

    def function_messages(self) -> List[_protobuf.Message]:
        return [{"id": number, "name": self.string(name), "system_name": self.string(name),
                 "filename": self.string(file)} for (name, file), number in self.functions.items()]

    def location_messages(self) -> List[_protobuf.Message]:
        return [{"id": number, "address": frame.address,
                 "line": [{"function_id": self.functions[frame.function, frame.file], "line": frame.line}]}
                for frame, number in self.locations.items()]


def pprof(snapshot: HeapSnapshot) -> bytes:
    """profile.proto, compressed: inuse_objects and inuse_space, as Go's heap profiles have them."""
    made = _Pprof()
    sizes, objects = _Rounded(), _Rounded()
    samples = [{"location_id": [made.location(frame) for frame in stack or (StackFrame(0, "[other]", "", 0, False),)],
                "value": [objects.next(count), sizes.next(size)]} for stack, size, count in _stacks(snapshot)]
    space = {"type": made.string("inuse_space"), "unit": made.string("bytes")}
    profile = {
        "sample_type": [{"type": made.string("inuse_objects"), "unit": made.string("count")}, space],
        "sample": samples, "location": made.location_messages(), "function": made.function_messages(),
        "time_nanos": snapshot.timestamp_ns,
        "period_type": {"type": made.string("space"), "unit": made.string("bytes")},
        "period": snapshot.sampling_rate_bytes, "default_sample_type": made.string("inuse_space"),
        "comment": [made.string(text) for text in snapshot.warnings],
    }
    profile["string_table"] = list(made.strings)
    return gzip.compress(_protobuf.encode("Profile", profile, _PROFILE), mtime=0)


FORMATS: Dict[str, Callable[[HeapSnapshot], bytes]] = {
    "speedscope": speedscope, "collapsed": collapsed, "pprof": pprof}


def save(snapshot: HeapSnapshot, path: str, format: str) -> None:
    if format not in FORMATS:
        raise ValueError(f"'{format}' is not a format; there are {', '.join(FORMATS)}")
    data = FORMATS[format](snapshot)
    beside = f"{path}.{os.getpid()}-{threading.get_ident()}"
    try:
        with open(beside, "xb") as file:
            file.write(data)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
