#!/usr/bin/env python3
"""The tables of the Python package's codec are those of api.proto (TAP)."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from spprof import _protobuf, _schema  # noqa: E402

# Of google/protobuf/descriptor.proto, what is needed here.
DESCRIPTOR = {
    "FileDescriptorSet": {1: ("file", "message", "FileDescriptorProto", True)},
    "FileDescriptorProto": {2: ("package", "string", "", False), 4: ("messages", "message", "DescriptorProto", True),
                            5: ("enums", "message", "EnumDescriptorProto", True)},
    "DescriptorProto": {1: ("name", "string", "", False), 2: ("fields", "message", "FieldDescriptorProto", True),
                        3: ("messages", "message", "DescriptorProto", True),
                        4: ("enums", "message", "EnumDescriptorProto", True)},
    "FieldDescriptorProto": {1: ("name", "string", "", False), 3: ("number", "int32", "", False),
                             4: ("label", "enum", "", False), 5: ("type", "enum", "", False),
                             6: ("type_name", "string", "", False)},
    "EnumDescriptorProto": {1: ("name", "string", "", False), 2: ("values", "message", "EnumValue", True)},
    "EnumValue": {1: ("name", "string", "", False), 2: ("number", "int32", "", False)},
}
TYPES = {1: "double", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 11: "message", 12: "bytes", 13: "uint32",
         14: "enum"}
REPEATED = 3


def descriptor_set():
    with tempfile.TemporaryDirectory(prefix="spprof-test-") as directory:
        path = os.path.join(directory, "set")
        proto = os.path.join(tap_unittest.SRC, "proto")
        subprocess.run(["protoc", "-I", proto, "--descriptor_set_out", path, "spprof/v1/api.proto"], check=True)
        with open(path, "rb") as file:
            data = file.read()
    kept = dict(_schema.MESSAGES)
    _schema.MESSAGES.update(DESCRIPTOR)
    try:
        return _protobuf.decode("FileDescriptorSet", data)["file"][0]
    finally:
        _schema.MESSAGES.clear()
        _schema.MESSAGES.update(kept)


class Tables:
    """What protoc says, in the form of spprof._schema."""

    def __init__(self, file):
        self.package = "." + file["package"] + "."
        self.messages, self.enums = {}, {}
        self.take("", file)

    def take(self, scope, container):
        for enum in container.get("enums", []):
            self.enums[scope + enum["name"]] = {v["name"]: v.get("number", 0) for v in enum["values"]}
        for message in container.get("messages", []):
            name = scope + message["name"]
            self.messages[name] = {field["number"]: self.field(field) for field in message.get("fields", [])}
            self.take(name + ".", message)

    def field(self, field):
        return (field["name"], TYPES[field["type"]], field.get("type_name", "").replace(self.package, "", 1),
                field["label"] == REPEATED)


class Schema(unittest.TestCase):
    def test_the_tables_are_those_that_the_script_makes_now(self):
        script = os.path.join(tap_unittest.SRC, "scripts", "generate-python-schema")
        made = subprocess.run([sys.executable, script, "--print"], check=True, capture_output=True, text=True).stdout
        with open(_schema.__file__, encoding="utf-8") as file:
            self.assertEqual(file.read(), made, "run scripts/generate-python-schema")

    @unittest.skipUnless(shutil.which("protoc"), "protoc is not installed (protobuf-compiler)")
    def test_protoc_reads_the_same_in_the_file(self):
        tables = Tables(descriptor_set())
        self.assertGreater(len(tables.messages), 10)
        self.assertEqual(tables.messages, _schema.MESSAGES)
        self.assertEqual(tables.enums, _schema.ENUMS)


tap_unittest.main()
