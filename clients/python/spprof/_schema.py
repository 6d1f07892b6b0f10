"""What scripts/generate-python-schema made of proto/spprof/v1/api.proto; do not edit.

    MESSAGES[message][number] = (field, kind, type, repeated)
    ENUMS[enum][value name] = number
"""
from typing import Dict, Tuple

Field = Tuple[str, str, str, bool]

MESSAGES: Dict[str, Dict[int, Field]] = {
    "Capture": {
        1: ("confidence", "enum", "Capture.Confidence", False),
        2: ("recommendation", "string", "", False),
        3: ("truncated_percent", "double", "", False),
        4: ("guessed_percent", "double", "", False),
        5: ("audited", "uint64", "", False),
        6: ("agreement_percent", "double", "", False),
        7: ("modules", "message", "CaptureModule", True),
    },
    "CaptureModule": {
        1: ("path", "string", "", False),
        2: ("no_info", "uint64", "", False),
        3: ("bounds", "uint64", "", False),
        4: ("unsupported", "uint64", "", False),
        5: ("depth_limit", "uint64", "", False),
        6: ("disagreed", "uint64", "", False),
    },
    "Counter": {
        1: ("name", "string", "", False),
        2: ("value", "double", "", False),
        3: ("help", "string", "", False),
    },
    "Error": {
        1: ("code", "enum", "Error.Code", False),
        2: ("message", "string", "", False),
    },
    "Estimate": {
        1: ("value", "double", "", False),
        2: ("low", "double", "", False),
        3: ("high", "double", "", False),
        4: ("samples", "uint64", "", False),
    },
    "ListRequest": {
        1: ("include_exited", "bool", "", False),
    },
    "ListResponse": {
        1: ("processes", "message", "Process", True),
    },
    "MarkRequest": {
        1: ("pid", "int32", "", False),
        2: ("name", "string", "", False),
    },
    "MarkResponse": {
        1: ("id", "uint64", "", False),
    },
    "PingRequest": {
    },
    "PingResponse": {
        1: ("version", "string", "", False),
        2: ("pid", "int32", "", False),
        3: ("started_unix_ns", "uint64", "", False),
    },
    "Process": {
        1: ("pid", "int32", "", False),
        2: ("uid", "uint32", "", False),
        3: ("comm", "string", "", False),
        4: ("exe", "string", "", False),
        5: ("command_line", "string", "", False),
        6: ("state", "enum", "Process.State", False),
        7: ("since_unix_ns", "uint64", "", False),
        8: ("interval_bytes", "double", "", False),
        9: ("live_bytes", "message", "Estimate", False),
        10: ("live_objects", "message", "Estimate", False),
        11: ("unconfirmed", "bool", "", False),
        12: ("note", "string", "", False),
    },
    "Request": {
        1: ("list", "message", "ListRequest", False),
        2: ("snapshot", "message", "SnapshotRequest", False),
        3: ("stats", "message", "StatsRequest", False),
        4: ("ping", "message", "PingRequest", False),
        5: ("mark", "message", "MarkRequest", False),
    },
    "Response": {
        1: ("error", "message", "Error", False),
        2: ("more", "bool", "", False),
        3: ("list", "message", "ListResponse", False),
        4: ("snapshot", "message", "SnapshotResponse", False),
        5: ("stats", "message", "StatsResponse", False),
        6: ("ping", "message", "PingResponse", False),
        7: ("mark", "message", "MarkResponse", False),
    },
    "SnapshotRequest": {
        1: ("pid", "int32", "", False),
        2: ("format", "enum", "SnapshotRequest.Format", False),
        3: ("top", "uint32", "", False),
        4: ("depth", "uint32", "", False),
        5: ("width", "uint32", "", False),
        6: ("color", "bool", "", False),
        7: ("cumulative", "bool", "", False),
        8: ("timeout_ms", "uint32", "", False),
        9: ("native_internals", "bool", "", False),
        10: ("since_id", "uint64", "", False),
        11: ("until_id", "uint64", "", False),
        12: ("tid", "uint32", "", False),
        13: ("samples", "bool", "", False),
        14: ("since", "string", "", False),
        15: ("until", "string", "", False),
        16: ("descendants", "bool", "", False),
    },
    "SnapshotResponse": {
        1: ("data", "bytes", "", False),
        2: ("process", "message", "Process", False),
    },
    "StatsRequest": {
        1: ("pid", "int32", "", False),
    },
    "StatsResponse": {
        1: ("process", "message", "Process", False),
        2: ("counters", "message", "Counter", True),
        3: ("live_bytes", "message", "Estimate", False),
        4: ("live_objects", "message", "Estimate", False),
        5: ("allocated_bytes", "message", "Estimate", False),
        6: ("allocated_objects", "message", "Estimate", False),
        7: ("capture", "message", "Capture", False),
        8: ("python", "string", "", False),
    },
}

ENUMS: Dict[str, Dict[str, int]] = {
    "Capture.Confidence": {
        "UNKNOWN": 0,
        "HIGH": 1,
        "MEDIUM": 2,
        "LOW": 3,
    },
    "Error.Code": {
        "UNSPECIFIED": 0,
        "INVALID_REQUEST": 1,
        "NO_SUCH_PROCESS": 2,
        "NOT_ATTACHED": 3,
        "PERMISSION_DENIED": 4,
        "INTERNAL": 5,
    },
    "Process.State": {
        "STATE_UNSPECIFIED": 0,
        "ATTACHED": 1,
        "EXITED": 2,
        "LOST": 3,
    },
    "SnapshotRequest.Format": {
        "TEXT": 0,
        "JSON": 1,
        "PPROF": 2,
        "COLLAPSED": 3,
        "SPEEDSCOPE": 4,
    },
}
