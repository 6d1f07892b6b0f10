"""Scripts of Python under the agent of the build tree: what the tests with the real daemon share."""
import glob
import os
import subprocess
import sys
import tempfile
import unittest

import tap_unittest
from tap import skip_all

AGENT_DIR = os.environ.get("SPPROF_LIBDIR", os.path.join(tap_unittest.BUILD, ".libs"))
AGENT = os.path.join(AGENT_DIR, "libspprof-agent.so")
PATIENCE = 120

for path in (AGENT, os.path.join(tap_unittest.BUILD, "spprofd"), os.path.join(tap_unittest.BUILD, "spprofctl")):
    if not os.path.exists(path):
        skip_all(f"{os.path.basename(path)} is not built here")


def interpreters():
    """This one, and those that SPPROF_TEST_PYTHONS names."""
    named = [path for path in os.environ.get("SPPROF_TEST_PYTHONS", "").split(":") if path]
    return list(dict.fromkeys([sys.executable, *named]))


class UnderAgent(unittest.TestCase):
    """A runtime directory of its own, in which nothing may be left."""

    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="spprof-test-")
        self.addCleanup(self.place.cleanup)
        self.runtime = os.path.join(self.place.name, "run")
        self.work = os.path.join(self.place.name, "work")
        os.mkdir(self.runtime)
        os.mkdir(self.work)

    def env(self, **more):
        env = dict(os.environ, PYTHONPATH=tap_unittest.PACKAGE, XDG_RUNTIME_DIR=self.runtime, SPPROF_AGENT=AGENT_DIR,
                   SPPROF_SOCKET=os.path.join(self.runtime, "none"), SPPROF_CEILING="0", SPPROF_SEED="1",
                   PYTHONDONTWRITEBYTECODE="1", SPPROF_BINDIR=tap_unittest.BUILD, SPPROF_LIBEXECDIR=tap_unittest.BUILD)
        env.pop("LD_PRELOAD", None)
        env.update(more)
        return env

    def python(self, source, *arguments, preload=True, interpreter=sys.executable, check=True, **more):
        more = {"LD_PRELOAD": AGENT, **more} if preload else more
        result = subprocess.run([interpreter, "-c", source, *arguments], env=self.env(**more), cwd=self.work,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        if check:
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def module(self, *arguments, interpreter=sys.executable, check=True, **more):
        result = subprocess.run([interpreter, "-m", "spprof", *arguments], env=self.env(**more), cwd=self.work,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        if check:
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result

    def assert_nothing_is_left(self):
        self.assertEqual(glob.glob(os.path.join(self.runtime, "*")), [])
