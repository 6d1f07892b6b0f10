#!/usr/bin/env python3
"""The Python package is annotated throughout, and says so to those who use it (TAP)."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402

USER = """
from spprof import memprof
from spprof.memprof import HeapSnapshot, MemoryProfiler

profiler = MemoryProfiler(sampling_rate_kb=64)

@profiler
def work(blocks: int) -> int:
    return blocks

with profiler as inside:
    total: int = work(3)
snapshot: HeapSnapshot = inside.snapshot
snapshot.save("out", format="pprof")
bytes_of_first: float = snapshot.top_allocators(1)[0].estimated_bytes
lifetimes = [sample.lifetime_ns for sample in memprof.get_snapshot().samples]
reveal_type(lifetimes)
work("three")
"""


@unittest.skipUnless(shutil.which("mypy"), "mypy is not installed")
class Typing(unittest.TestCase):
    def mypy(self, *arguments):
        with tempfile.TemporaryDirectory(prefix="spprof-test-") as cache:
            return subprocess.run(
                ["mypy", "--strict", "--python-version", "3.9", "--cache-dir", cache, *arguments], cwd=cache,
                env=dict(os.environ, MYPYPATH=tap_unittest.PACKAGE), capture_output=True, text=True)

    def test_mypy_strict_finds_nothing_in_the_package(self):
        result = self.mypy("-p", "spprof")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_a_program_that_uses_it_is_checked_by_its_types(self):
        result = self.mypy("-c", USER)
        self.assertIn('Argument 1 to "work" has incompatible type "str"; expected "int"', result.stdout)
        self.assertIn("[Union[builtins.int, None]]", result.stdout.replace("Optional[builtins.int]", "Union[builtins.int, None]"))
        self.assertIn("Found 1 error", result.stdout)


class Marker(unittest.TestCase):
    def test_the_package_says_that_it_is_typed(self):
        self.assertTrue(os.path.exists(os.path.join(tap_unittest.PACKAGE, "spprof", "py.typed")))


tap_unittest.main()
