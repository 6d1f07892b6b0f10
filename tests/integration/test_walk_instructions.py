#!/usr/bin/env python3
"""Instructions of a walk (TAP): 30 frames of code without frame pointers, all call sites known, counted by callgrind.

With a memo a walk may take more instructions than without: what it saves is waiting, which tests/bench/bench_walk
measures.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
import measured  # noqa: E402
from tap import Tap, skip_all  # noqa: E402

BENCH = os.path.join(measured.BUILT, "bench_walk")
DEPTH = 30
FEW, MANY = 2, 12  # hundreds of walks
# A frame's share of all, what a walk does once included. gcc's code takes 52 and 63, clang's 57 and 72.
MOST = {"walk_stack": ("without a memo", 60), "walk_with_memo": ("with the memo of the same stack", 75)}


def main():
    measured.need("valgrind")
    if os.environ.get("SPPROF_SANITIZED"):
        skip_all("a sanitizer's checks are instructions, too")
    tap = Tap()
    frames = measured.said(dict(os.environ), [BENCH, "1", str(DEPTH)])["frames"]
    tap.ok(frames >= DEPTH, f"the stack has {frames} frames")
    for function, (what, most) in MOST.items():
        few, many = (measured.count(dict(os.environ), [BENCH, str(runs), str(DEPTH)], f"--toggle-collect={function}")["Ir"]
                     for runs in (FEW, MANY))
        per_frame = (many - few) / (MANY - FEW) / 100 / frames
        tap.ok(0 < per_frame <= most, f"{per_frame:.1f} instructions a frame {what}, at most {most}")
    tap.done()


main()
