#!/usr/bin/env python3
"""What README.md of the Python package promises, its examples, and how it is installed (TAP)."""
import glob
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import tap_unittest  # noqa: E402
from under_agent import AGENT, PATIENCE, UnderAgent  # noqa: E402

EXAMPLES = os.path.join(tap_unittest.PACKAGE, "examples")
SYSTEM_PYTHON = "/usr/bin/python3"


def has_gunicorn():
    return os.path.exists(SYSTEM_PYTHON) and subprocess.run(
        [SYSTEM_PYTHON, "-c", "import gunicorn"], stderr=subprocess.DEVNULL, check=False).returncode == 0


class Quickstart(UnderAgent):
    def test_the_quickstart_of_the_readme_does_what_it_says(self):
        with open(os.path.join(tap_unittest.PACKAGE, "README.md"), encoding="utf-8") as file:
            page = file.read()
        page = page[page.index("## Quickstart"):]
        program = re.search(r"```python\n(.*?)```", page, flags=re.S)[1]
        command = re.search(r"```sh\n(.*?)```", page, flags=re.S)[1]
        self.assertLess(len([line for line in program.splitlines() if "memprof" in line or "snapshot" in line]), 10)
        with open(os.path.join(self.work, "app.py"), "w", encoding="utf-8") as file:
            file.write(program)
        bin_dir = os.path.join(self.place.name, "bin")
        os.mkdir(bin_dir)
        os.symlink(sys.executable, os.path.join(bin_dir, "python3"))
        result = subprocess.run(["sh", "-ec", command], env=self.env(PATH=bin_dir + ":" + os.environ["PATH"]), cwd=self.work,
                                capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        sizes = [float(size) for size in re.findall(r"^([\d.]+) MiB", result.stdout, flags=re.M)]
        self.assertGreater(max(sizes), 30)  # a hundred thousand strings of 449 to 549 bytes
        with open(os.path.join(self.work, "heap.speedscope.json"), encoding="utf-8") as file:
            self.assertTrue(json.load(file)["profiles"][0]["samples"])
        self.assert_nothing_is_left()


class Examples(UnderAgent):
    def test_basic_shows_what_lives_and_what_grew(self):
        said = self.module("run", os.path.join(EXAMPLES, "basic.py"), "out.json").stdout
        grown = re.search(r"^   \+([\d.]+) MB at", said, flags=re.M)
        self.assertTrue(grown and 15 < float(grown[1]) < 25, said)
        self.assertTrue(os.path.getsize(os.path.join(self.work, "out.json")))

    def test_scoped_shows_what_each_scope_kept(self):
        said = self.module("run", os.path.join(EXAMPLES, "scoped.py")).stdout
        kept = [float(size) for size in re.findall(r": ([\d.]+) MB kept", said)]
        for size, truth in zip(kept, (5.0, 2.0, 5.0)):
            self.assertTrue(0.6 * truth < size < 1.6 * truth, said)
        self.assertEqual(len(kept), 3)

    @unittest.skipUnless(shutil.which("perf"), "perf is not installed (linux-perf)")
    def test_perf_and_spprof_profile_the_same_run(self):
        if subprocess.run(["perf", "record", "-q", "-o", os.devnull, "true"], capture_output=True).returncode != 0:
            self.skipTest("perf may not sample here")
        result = subprocess.run([os.path.join(EXAMPLES, "with_perf.sh")], env=self.env(PYTHON=sys.executable), cwd=self.work,
                                capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertTrue(os.path.getsize(os.path.join(self.work, "memory.speedscope.json")))
        self.assertTrue(os.path.getsize(os.path.join(self.work, "cpu.perf")))


@unittest.skipUnless(has_gunicorn(), "gunicorn is not installed for /usr/bin/python3 (gunicorn)")
class Gunicorn(UnderAgent):
    def setUp(self):
        super().setUp()
        ready, told = os.pipe()
        self.daemon = subprocess.Popen(
            [os.path.join(tap_unittest.BUILD, "spprofd"), "--socket-dir", self.runtime, "--ready-fd", str(told)],
            env=self.env(), pass_fds=[told])
        os.close(told)
        with os.fdopen(ready, "rb") as reader:
            self.assertTrue(reader.read(1))
        self.listener = os.path.join(self.place.name, "http")
        self.server = subprocess.Popen(
            [SYSTEM_PYTHON, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", "unix:" + self.listener, "app:application"],
            cwd=os.path.join(EXAMPLES, "production_gunicorn"), stderr=subprocess.PIPE, text=True,
            env=self.env(LD_PRELOAD=AGENT, SPPROF_SOCKET=self.runtime, SPPROF_RATE="64K"))
        booted = 0
        while booted < 8:
            line = self.server.stderr.readline()
            self.assertTrue(line, "gunicorn has ended")
            self.assertNotIn("not profiled", line)
            booted += "Booting worker" in line

    def tearDown(self):
        self.server.terminate()
        self.server.communicate()
        self.daemon.terminate()
        self.daemon.wait()

    def get(self, path):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(self.listener)
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            with connection.makefile("rb") as stream:
                return stream.read().partition(b"\r\n\r\n")[2].decode()

    def test_workers_show_their_own_leaks_and_are_seen_from_outside(self):
        leaked = {}
        for _ in range(40):
            pid = int(re.match(r"worker (\d+) has leaked", self.get("/leak?200"))[1])
            leaked[pid] = leaked.get(pid, 0) + 200 * 10_033
        for pid, truth in leaked.items():
            found = json.loads(self.module("--socket", self.runtime, "stats", str(pid)).stdout)["estimated_heap_bytes"]
            self.assertTrue(0.6 * truth < found < 1.4 * truth + 20_000_000, f"{pid}: {found} of {truth}")
        page = json.loads(self.get("/heap?3"))
        self.assertNotEqual(page["pid"], self.server.pid)
        self.assertGreater(page["samples"], 30)
        self.assertEqual(len(page["top"]), 3)


@unittest.skipUnless(importlib.util.find_spec("pip"), "pip is not installed for this Python")
class Installed(UnderAgent):
    def pip(self, *options, **more):
        target = os.path.join(self.place.name, "site")
        shutil.rmtree(target, ignore_errors=True)
        # Nothing may be fetched, or built into the tree.
        result = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--no-cache-dir", "--target", target, *options,
             tap_unittest.PACKAGE], env=self.env(PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONPATH="", **more),
            capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return target

    def prefix(self):
        """As `make install` would leave it, as far as the wheel takes it along."""
        prefix = os.path.join(self.place.name, "prefix")
        build = tap_unittest.BUILD
        helpers = [("libexec/spprof/" + os.path.basename(path), path) for path in glob.glob(build + "/spprof-*er")]
        for path, source in (("lib/spprof/libspprof-agent.so", AGENT), ("bin/spprofd", build + "/spprofd"),
                             ("bin/spprofctl", build + "/spprofctl"), *helpers):
            os.makedirs(os.path.dirname(os.path.join(prefix, path)), exist_ok=True)
            os.symlink(os.path.realpath(source), os.path.join(prefix, path))
        return prefix

    def test_pip_installs_it_with_isolation_and_without(self):
        for options in ((), ("--no-build-isolation", )):
            target = self.pip(*options)
            self.assertIn("spprofd-0.1.0.dist-info", os.listdir(target))
            names = set(os.listdir(os.path.join(tap_unittest.PACKAGE, "spprof"))) - {"__pycache__", "_prefix.py"}
            self.assertEqual(set(os.listdir(os.path.join(target, "spprof"))) - {"__pycache__"}, names)
            version = subprocess.run([sys.executable, "-m", "spprof", "--version"], env=self.env(PYTHONPATH=target),
                                     check=True, capture_output=True, text=True).stdout
            self.assertEqual(version, "spprof 0.1.0\n")

    def test_a_bundle_brings_agent_and_daemon_along(self):
        target = self.pip(SPPROF_BUNDLE=self.prefix())
        env = self.env(PYTHONPATH=target)
        for name in ("SPPROF_AGENT", "SPPROF_BINDIR", "SPPROF_LIBEXECDIR"):
            del env[name]
        script = "from spprof import memprof; memprof.start(8); x = [bytes(9000)] * 9; print(memprof.get_snapshot().live_samples)"
        said = subprocess.run([sys.executable, "-m", "spprof", "where"], env=env, check=True, capture_output=True,
                              text=True).stdout
        self.assertEqual(said.count(os.path.join(target, "spprof", "_native")), 2, said)
        result = subprocess.run([sys.executable, "-m", "spprof", "run", "-r", "8K", "-c", script], env=env, cwd=self.work,
                                capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(int(result.stdout), 0)


tap_unittest.main()
