#!/usr/bin/env python3
"""The Python package's codec (TAP): against protoc, and against bytes that nobody should have sent."""
import os
import random
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from spprof import _protobuf  # noqa: E402

STATS = {"stats": {
    "process": {"pid": 4711, "uid": 1000, "comm": "wörker", "state": 2, "unconfirmed": True, "interval_bytes": 524288.0},
    "counters": [{"name": "a", "value": 1.5}, {"name": "b", "value": -2.0, "help": "h"}],
    "live_bytes": {"value": 1e9, "low": 9e8, "high": 1.1e9, "samples": 1 << 40}}}
STATS_TEXT = """stats {
  process { pid: 4711 uid: 1000 comm: "wörker" state: EXITED unconfirmed: true interval_bytes: 524288 }
  counters { name: "a" value: 1.5 } counters { name: "b" value: -2 help: "h" }
  live_bytes { value: 1e9 low: 9e8 high: 1.1e9 samples: 1099511627776 }
}"""


def protoc(action, name, data):
    proto = os.path.join(tap_unittest.SRC, "proto")
    return subprocess.run(["protoc", "-I", proto, f"--{action}=spprof.v1.{name}", "spprof/v1/api.proto"], input=data,
                          check=True, capture_output=True).stdout


class Codec(unittest.TestCase):
    def test_what_is_encoded_is_decoded_again(self):
        self.assertEqual(_protobuf.decode("Response", _protobuf.encode("Response", STATS)), STATS)

    def test_negative_numbers_are_those_of_int32(self):
        message = {"snapshot": {"pid": -1, "format": 4, "data": b""}}
        del message["snapshot"]["data"]
        self.assertEqual(_protobuf.decode("Request", _protobuf.encode("Request", message)), message)

    @unittest.skipUnless(shutil.which("protoc"), "protoc is not installed (protobuf-compiler)")
    def test_protoc_decodes_what_is_encoded_here(self):
        text = protoc("decode", "Response", _protobuf.encode("Response", STATS))
        self.assertEqual(protoc("encode", "Response", text), protoc("encode", "Response", STATS_TEXT.encode()))

    @unittest.skipUnless(shutil.which("protoc"), "protoc is not installed (protobuf-compiler)")
    def test_what_protoc_encodes_is_decoded_here(self):
        self.assertEqual(_protobuf.decode("Response", protoc("encode", "Response", STATS_TEXT.encode())), STATS)

    def test_unknown_fields_are_skipped(self):
        unknown = b"\xf8\x3f\x05" + b"\xf9\x3f12345678" + b"\xfa\x3f\x02ab" + b"\xfd\x3f1234"
        self.assertEqual(_protobuf.decode("Response", unknown + b"\x10\x01" + unknown), {"more": True})

    def test_a_field_that_does_not_exist_cannot_be_encoded(self):
        with self.assertRaises(KeyError):
            _protobuf.encode("Request", {"nonsense": {}})

    def test_packed_numbers_are_taken_too(self):
        tables = {"Numbers": {1: ("n", "uint64", "", True), 2: ("d", "double", "", True)}}
        _protobuf.MESSAGES.update(tables)
        try:
            data = b"\x0a\x03\x01\x80\x01" + b"\x12\x08" + bytes(6) + b"\xf0\x3f"
            self.assertEqual(_protobuf.decode("Numbers", data), {"n": [1, 128], "d": [1.0]})
        finally:
            del _protobuf.MESSAGES["Numbers"]

    def test_broken_messages_are_refused(self):
        for data in (b"\x10", b"\x10\xff", b"\x10" + b"\xff" * 10 + b"\x01", b"\x0a\x05ab", b"\x0b", b"\x00\x01",
                     b"\x12\x00", b"\x22" + b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"):
            with self.subTest(data), self.assertRaises(_protobuf.ProtocolError):
                _protobuf.decode("Response", data)

    def test_messages_within_messages_end_somewhere(self):
        _protobuf.MESSAGES["Deep"] = {1: ("deep", "message", "Deep", False)}
        try:
            data = b""
            for _ in range(40):
                data = b"\x0a" + bytes([len(data)]) + data
            with self.assertRaises(_protobuf.ProtocolError):
                _protobuf.decode("Deep", data)
        finally:
            del _protobuf.MESSAGES["Deep"]

    def test_no_bytes_make_it_fail_in_another_way(self):
        rng = random.Random(1)
        whole = _protobuf.encode("Response", STATS)
        for _ in range(3000):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                _protobuf.decode("Response", bytes(data[:rng.randrange(len(data) + 1)]))
            except _protobuf.ProtocolError:
                pass


tap_unittest.main()
