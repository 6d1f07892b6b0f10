#!/usr/bin/env python3
"""The Python package's values and what it writes of them (TAP)."""
import gzip
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from spprof import _export, _protobuf  # noqa: E402
from spprof.memprof import AllocationSample, FramePointerHealth, HeapSnapshot, StackFrame, diff  # noqa: E402

MALLOC = StackFrame(0x10, "my_alloc", "m.c", 1, False)
NATIVE = StackFrame(0x20, "native;work", "n.c", 2, False, "/lib/n.so")
WORK = StackFrame(0, "Job.work", "job.py", 3, True)
MAIN = StackFrame(0, "main\n", "job.py", 9, True)
MIXED, BARE = (MALLOC, NATIVE, WORK, MAIN), (MALLOC, NATIVE)


def sample(number, size, stack, lifetime=None, weight=1.5):
    return AllocationSample(0x1000 * number, size, weight, size * weight, number, lifetime, stack, number, 1)


def snapshot(*samples):
    live = [s for s in samples if s.lifetime_ns is None]
    return HeapSnapshot(list(samples), len(samples), len(live), round(sum(s.estimated_bytes for s in live)), 1,
                        FramePointerHealth(0, 1, 2.0, 2, 0.0), pid=7, sampling_rate_bytes=1024)


TWO = snapshot(sample(1, 1001, MIXED), sample(2, 3001, MIXED), sample(3, 101, BARE), sample(4, 9999, BARE, lifetime=5))


class Sites(unittest.TestCase):
    def test_the_innermost_line_of_python_is_to_blame(self):
        first, second = TWO.top_allocators()
        self.assertEqual((first.function, first.file, first.line, first.samples), ("Job.work", "job.py", 3, 2))
        self.assertEqual((first.estimated_bytes, first.estimated_objects), (6003.0, 3.0))
        self.assertAlmostEqual(first.share, 6003 / 6154.5)

    def test_without_python_it_is_the_innermost_that_is_no_allocator(self):
        self.assertEqual(TWO.top_allocators()[1].frame, NATIVE)
        self.assertEqual(snapshot(sample(1, 9, (MALLOC, ))).top_allocators()[0].frame, MALLOC)
        self.assertEqual(snapshot(sample(1, 9, ())).top_allocators()[0].function, "[other]")

    def test_the_error_is_that_of_the_sampling_rule(self):
        size, weight = 1001, 1.5
        p = 1 / weight
        only = snapshot(sample(1, size, MIXED)).top_allocators()[0]
        self.assertAlmostEqual(only.standard_error_bytes, size * (1 - p)**0.5 / p)

    def test_n_is_a_bound(self):
        self.assertEqual(len(TWO.top_allocators(1)), 1)
        with self.assertRaises(ValueError):
            TWO.top_allocators(0)

    def test_freed_samples_hold_nothing(self):
        self.assertEqual(snapshot(sample(1, 5, MIXED, lifetime=1)).top_allocators(), [])


class Differences(unittest.TestCase):
    def test_what_is_in_both_is_no_growth(self):
        self.assertEqual(diff(TWO, TWO), [])

    def test_growth_comes_first_and_shrinking_last(self):
        after = snapshot(sample(2, 3001, MIXED), sample(3, 101, BARE), sample(5, 40000, BARE))
        grown, shrunk = diff(TWO, after)
        self.assertEqual((grown.stack, grown.growth_bytes, grown.before_samples, grown.after_samples), (BARE, 60000.0, 1, 2))
        self.assertEqual((shrunk.stack, shrunk.growth_bytes), (MIXED, -1501.5))

    def test_only_what_changed_makes_an_error(self):
        after = snapshot(*TWO.live, sample(5, 40000, BARE))
        self.assertAlmostEqual(diff(TWO, after)[0].standard_error_bytes, (60000 * 20000)**0.5)

    def test_one_sample_proves_nothing(self):
        few = diff(TWO, snapshot(*TWO.live, sample(9, 4, BARE, weight=250.0)))[0]
        many = diff(TWO, snapshot(*TWO.live, *(sample(10 + n, 4000, BARE) for n in range(50))))[0]
        self.assertEqual((few.is_significant, many.is_significant), (False, True))


class Files(unittest.TestCase):
    def saved(self, format):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "out")
            TWO.save(path, format)
            self.assertEqual(os.listdir(directory), ["out"])
            with open(path, "rb") as file:
                return file.read()

    def test_collapsed_has_a_line_for_each_row_of_names(self):
        self.assertEqual(self.saved("collapsed").decode(),
                         "main?;Job.work;native:work;my_alloc 6003\nnative:work;my_alloc 152\n")

    def test_speedscope_has_frames_and_weights(self):
        file = json.loads(self.saved("speedscope"))
        self.assertEqual(file["$schema"], "https://www.speedscope.app/file-format-schema.json")
        profile, = file["profiles"]
        frames = [frame["name"] for frame in file["shared"]["frames"]]
        self.assertEqual([[frames[i] for i in stack] for stack in profile["samples"]],
                         [["main\n", "Job.work", "native;work", "my_alloc"], ["native;work", "my_alloc"]])
        self.assertEqual((profile["unit"], profile["weights"], profile["endValue"]), ("bytes", [6003, 152], 6155))

    def test_pprof_has_what_profile_proto_asks_for(self):
        data = gzip.decompress(self.saved("pprof"))
        kept = dict(_protobuf.MESSAGES)
        _protobuf.MESSAGES.update(_export._PROFILE)
        try:
            profile = _protobuf.decode("Profile", data)
        finally:
            _protobuf.MESSAGES.clear()
            _protobuf.MESSAGES.update(kept)
        strings = profile["string_table"]
        self.assertEqual(strings[0], "")
        self.assertEqual([strings[t["type"]] for t in profile["sample_type"]], ["inuse_objects", "inuse_space"])
        functions = {f["id"]: strings[f["name"]] for f in profile["function"]}
        names = {l["id"]: functions[l["line"][0]["function_id"]] for l in profile["location"]}
        self.assertEqual([([names[i] for i in s["location_id"]], s["value"]) for s in profile["sample"]],
                         [(["my_alloc", "native;work", "Job.work", "main\n"], [3, 6003]),
                          (["my_alloc", "native;work"], [2, 152])])

    def test_another_format_is_an_error_and_no_file(self):
        with tempfile.TemporaryDirectory() as directory:
            with self.assertRaisesRegex(ValueError, "speedscope, collapsed, pprof"):
                TWO.save(os.path.join(directory, "out"), "svg")
            self.assertEqual(os.listdir(directory), [])

    def test_a_place_that_cannot_be_written_is_an_oserror(self):
        with self.assertRaises(OSError):
            TWO.save("/nonexistent/out")


class Confidence(unittest.TestCase):
    def test_it_follows_the_share_of_stacks_that_are_cut_short(self):
        for rate, word in ((0.0, "high"), (0.049, "high"), (0.05, "medium"), (0.2, "medium"), (0.21, "low")):
            health = FramePointerHealth(int(1000 * rate), 1000, 9.0, 2, rate)
            self.assertEqual(health.confidence, word)
            self.assertTrue(health.recommendation)

    def test_without_stacks_nothing_is_known(self):
        self.assertEqual(FramePointerHealth(0, 0, 0.0, 0, 0.0).confidence, "unknown")


tap_unittest.main()
