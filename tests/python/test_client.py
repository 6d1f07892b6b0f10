#!/usr/bin/env python3
"""The Python package's client of the API socket, against a daemon that says anything (TAP)."""
import json
import os
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from fake_daemon import PREAMBLE, FakeDaemon, framed  # noqa: E402
from spprof import _client, _protobuf, _reading, memprof  # noqa: E402

HEAP = {
    "format": "spprof.snapshot/1", "process": {"pid": 7}, "taken_unix_ns": 5, "interval_bytes": 1024,
    "quality": {"stacks_truncated": 1, "stacks_stopped": 1, "stacks_whole": 6, "lost_samples": 3, "lost_bytes": 9000,
                "folded_samples": 0, "unconfirmed": True, "unconfirmed_reason": "it came late",
                "locations_unresolved": 0, "locations_total": 2},
    "totals": {"live": {"bytes": {"value": 2000, "low": 1000, "high": 3000}, "samples": 2},
               "cumulative": {"bytes": {"value": 4000, "low": 2000, "high": 6000}, "samples": 8}},
    "modules": [{"path": "/bin/prog"}],
    "frames": [
        {"function": "work", "file": "app.py", "line": 3, "address": None, "module": None, "python": True},
        {"function": "main", "file": "", "line": 0, "address": "0x1234", "module": 0}],
    "sites": [{"stack": [0, 1], "live": {"samples": 2}}],
    "samples": [
        {"id": 5, "address": "0xff0", "size": 1000, "interval": 1024, "time_unix_ns": 3, "thread": 9, "site": 0},
        {"id": 6, "address": "0xfe0", "size": 1 << 20, "interval": 1024, "time_unix_ns": 4, "thread": 9, "site": 0,
         "freed_unix_ns": 104}],
}


def heap_answer(heap=HEAP, pieces=2):
    data = json.dumps(heap).encode()
    cut = [len(data) * i // pieces for i in range(pieces + 1)]
    return [{"snapshot": {"data": data[cut[i]:cut[i + 1]]}, "more": i + 1 < pieces} for i in range(pieces)]


STATS = [{"stats": {"process": {"pid": 7}, "capture": {"recommendation": "build it with -g"}}}]


class Answers(unittest.TestCase):
    def ask(self, *answers):
        with FakeDaemon(*answers) as daemon:
            return _client.Client(daemon.directory).snapshot({"pid": 7})

    def test_pieces_make_a_whole(self):
        self.assertEqual(json.loads(self.ask(heap_answer(pieces=5))), HEAP)

    def test_a_refusal_has_the_daemons_words(self):
        with self.assertRaisesRegex(RuntimeError, "not attached: process 7") as caught:
            self.ask([{"error": {"code": 3, "message": "not attached: process 7"}}])
        self.assertTrue(caught.exception.is_unknown_process)

    def test_another_protocol_is_refused(self):
        for answer in (framed({"more": False}, version=2), framed({"more": False}, flags=1), PREAMBLE.pack(1 << 20 | 1, 1, 0),
                       framed(b"\xff\xff\xff"), framed({"ping": {}})):
            with self.subTest(answer), self.assertRaises(_protobuf.ProtocolError):
                self.ask(answer)

    def test_an_answer_that_breaks_off_is_refused(self):
        for answer in (b"", framed({"more": True})[:4], framed(heap_answer()[0])[:-3], framed(heap_answer()[0])):
            with self.subTest(answer), self.assertRaises(RuntimeError):
                self.ask(answer)

    def test_an_answer_that_does_not_end_is_cut_short(self):
        with mock.patch.object(_client, "SNAPSHOT_LIMIT", 100), self.assertRaises(_protobuf.ProtocolError):
            self.ask(heap_answer())

    def test_a_daemon_that_is_not_there_is_told_as_such(self):
        with self.assertRaisesRegex(_client.NoDaemonError, "/nonexistent"):
            _client.Client("/nonexistent").ping()


class Finding(unittest.TestCase):
    def test_the_environment_names_one_directory(self):
        with mock.patch.dict(os.environ, SPPROF_SOCKET="/a/b"):
            self.assertEqual(_client.socket_dirs(), ["/a/b"])
            self.assertEqual(_client.socket_dirs("/c"), ["/c"])

    def test_without_it_the_usual_places_are_looked_at_in_their_order(self):
        uid = os.geteuid()
        with mock.patch.dict(os.environ, XDG_RUNTIME_DIR="/xdg"):
            os.environ.pop("SPPROF_SOCKET", None)
            self.assertEqual(_client.socket_dirs(),
                             ["/run/spprofd", "/xdg/spprofd", f"/run/user/{uid}/spprofd", f"/tmp/spprofd-{uid}"])

    def test_the_first_that_answers_is_taken(self):
        with FakeDaemon([]) as daemon, tempfile.TemporaryDirectory() as empty, \
                mock.patch.object(_client, "socket_dirs", return_value=[empty, daemon.directory]):
            self.assertEqual(_client.find().directory, daemon.directory)

    def test_a_searched_daemon_of_another_user_is_not_spoken_to(self):
        with FakeDaemon([]) as daemon, mock.patch.object(_client, "_peer_uid", return_value=12345), \
                mock.patch.object(_client, "socket_dirs", return_value=[daemon.directory]), \
                mock.patch.dict(os.environ):
            os.environ.pop("SPPROF_SOCKET", None)
            with self.assertRaises(_client.NoDaemonError):
                _client.find()
            self.assertEqual(daemon.requests, [])
            self.assertEqual(_client.find(daemon.directory).directory, daemon.directory)


class Attached(unittest.TestCase):
    def snapshot(self, heap):
        with FakeDaemon(STATS, heap_answer(heap), STATS) as daemon:
            process = memprof.attach(7, daemon.directory)
            snapshot = process.get_snapshot()
            self.requests = daemon.requests
            return snapshot

    def test_a_snapshot_is_what_the_daemon_says(self):
        snapshot = self.snapshot(HEAP)
        self.assertEqual((snapshot.pid, snapshot.live_samples, snapshot.total_samples), (7, 2, 8))
        self.assertEqual((snapshot.estimated_heap_low, snapshot.estimated_heap_bytes, snapshot.estimated_heap_high),
                         (1000, 2000, 3000))
        small, large = snapshot.samples
        self.assertEqual((small.address, small.size, small.timestamp_ns, small.lifetime_ns), (0xFF0, 1000, 3, None))
        self.assertAlmostEqual(small.weight, 1.6041, places=4)
        self.assertAlmostEqual(small.estimated_bytes, 1604.1, places=1)
        self.assertEqual((large.weight, large.estimated_bytes, large.lifetime_ns), (1.0, 1 << 20, 100))
        self.assertEqual(snapshot.live, [small])
        self.assertEqual(small.stack, (memprof.StackFrame(0, "work", "app.py", 3, True),
                                       memprof.StackFrame(0x1234, "main", "", 0, False, "/bin/prog")))
        self.assertIs(small.stack, large.stack)

    def test_samples_are_asked_for_by_themselves(self):
        self.snapshot(HEAP)
        asked = [request["snapshot"] for request in self.requests if "snapshot" in request]
        self.assertEqual(asked, [{"pid": 7, "format": 1, "samples": True, "timeout_ms": 10000, "since_id": 0, "until_id": 0,
                                  "tid": 0, "descendants": False}])

    def test_a_daemon_that_came_late_is_given_the_occasion_to_be_told(self):
        def answer(unconfirmed, value):
            return [{"stats": {"process": {"pid": 7, "unconfirmed": unconfirmed}, "live_bytes": {"value": value}}}]

        nudges = []
        with FakeDaemon(answer(True, 10.0), answer(True, 20.0), answer(False, 30.0)) as daemon:
            answer_at_last = _reading.Reader(_client.Client(daemon.directory), 7, lambda: nudges.append(1)).settle()
        self.assertEqual((_reading.estimated_heap_bytes(answer_at_last), len(nudges)), (30, 2))
        with FakeDaemon(*[answer(True, 10.0)] * 21) as daemon:
            stats = _reading.Reader(_client.Client(daemon.directory), 7, lambda: nudges.append(1)).settle()
        self.assertEqual((_reading.is_confirmed(stats), len(nudges)), (False, 22))
        with FakeDaemon(answer(True, 10.0), answer(True, 20.0)) as daemon:
            stats = memprof.attach(7, daemon.directory).get_stats()
        self.assertEqual((stats.is_confirmed, stats.estimated_heap_bytes), (False, 20))

    def test_of_several_processes_each_sample_says_whose_it_is(self):
        samples = [{**HEAP["samples"][0], "pid": 9}, HEAP["samples"][0]]
        family = {"processes": 2, "left_out": 3, "unmatched_samples": 4}
        with FakeDaemon(STATS, heap_answer({**HEAP, "samples": samples, "family": family}), STATS) as daemon:
            snapshot = memprof.attach(7, daemon.directory).get_snapshot(descendants=True)
            self.assertTrue(next(request["snapshot"] for request in daemon.requests if "snapshot" in request)["descendants"])
        self.assertEqual(([sample.pid for sample in snapshot.samples], snapshot.processes), ([9, 7], 2))
        text = "\n".join(snapshot.warnings)
        for words in ("3 descendants are left out", "4 samples that were inherited"):
            self.assertIn(words, text)
        self.assertEqual((self.snapshot(HEAP).processes, self.snapshot(HEAP).samples[0].pid), (1, 7))

    def test_what_must_be_known_is_in_the_warnings(self):
        text = "\n".join(self.snapshot(HEAP).warnings)
        for words in ("few samples (2)", "3 samples", "it came late", "25% of the stacks"):
            self.assertIn(words, text)

    def test_the_health_of_stacks_has_the_daemons_advice(self):
        health = self.snapshot(HEAP).frame_pointer_health
        self.assertEqual((health.shallow_stack_warnings, health.total_native_stacks), (2, 8))
        self.assertEqual((health.confidence, health.recommendation), ("low", "build it with -g"))
        self.assertEqual((health.avg_native_depth, health.min_native_depth), (2.0, 2))

    def test_nonsense_is_a_runtime_error(self):
        for change in ({"format": "spprof.snapshot/2"}, {"sites": []}, {"frames": None}, {"totals": {}},
                       {"samples": [{**HEAP["samples"][0], "size": 0}]}):
            with self.subTest(change), self.assertRaises(RuntimeError):
                self.snapshot({**HEAP, **change})
        for data in (b"{", b"[]", b"", b"null", b"\xff"):
            with FakeDaemon(STATS, [{"snapshot": {"data": data}}]) as daemon, self.subTest(data), \
                    self.assertRaises(RuntimeError):
                memprof.attach(7, daemon.directory).get_snapshot()

    def test_only_a_process_can_be_attached_to(self):
        with self.assertRaises(ValueError):
            memprof.attach(0)
        with FakeDaemon([{"error": {"code": 2, "message": "no such process: 7"}}]) as daemon, \
                self.assertRaisesRegex(RuntimeError, "no such process"):
            memprof.attach(7, daemon.directory)


tap_unittest.main()
