#!/usr/bin/env python3
"""What is wrong gets a clear answer, and the daemon goes on (TAP).

Wrong sockets, dead and foreign processes, forged segments, garbage on both sockets, missing permissions: after
each the daemon must still serve a good program.
"""
import array
import fcntl
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

NOBODY = 65534
F_ADD_SEALS, SEALS = 1033, 1 | 2 | 4  # F_SEAL_SEAL, SHRINK, GROW
WIRE = "".join(open(os.path.join(profiled.SRC, "include", "spprof", "wire", name), encoding="utf-8").read()
               for name in ("segment.h", "definitions.h"))
MAGIC = 0x314745534650505A
MAJOR = int(re.search(r"WIRE_MAJOR +(\d+)u", WIRE)[1])
DEFINITIONS_SIZE = int(re.search(r"WIRE_DEFINITIONS_SIZE +\(\(size_t\)(\d+) << 20\)", WIRE)[1]) << 20
HANDSHAKE = struct.pack("<IHHQ", 0x48505053, MAJOR, 0, 0)


def segment(size, magic=MAGIC, major=MAJOR, ring_count=4, ring_size=65536, interval=524288, seals=SEALS):
    """A memfd that looks like an agent's in all but what the caller says."""
    fd = os.memfd_create("spprof-segment", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if size >= 4096:
        os.pwrite(fd, struct.pack("<QHHIIIIIQQ", magic, major, 0, 4096, ring_count, ring_size, os.getpid(), 0,
                                  time.monotonic_ns(), interval), 0)
    if seals:
        fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def segment_size(ring_count=4, ring_size=65536):
    return 4096 + 32 * 256 + (128 << 10) + ring_count * ring_size + DEFINITIONS_SIZE


def hand_over(profiler, data, descriptors):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
        agent.connect(os.path.join(profiler.directory, "agent.sock"))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        agent.sendmsg([data], rights)
    for fd in descriptors:
        os.close(fd)


def forged_segments():
    """(what it is, what the daemon says of it, the message, its descriptors)"""
    right = segment_size()
    for name, reason, descriptor in (
            ("an empty file", "too short", segment(0)),
            ("a segment cut off after its header", "size does not fit", segment(4096)),
            ("a segment one byte too short", "size does not fit", segment(right - 1)),
            ("a segment one page too long", "size does not fit", segment(right + 4096)),
            ("a segment with another magic", "not a spprof segment", segment(right, magic=0)),
            ("a segment of an older version", "another version", segment(right, major=MAJOR - 1)),
            ("a segment of a newer version", "another version", segment(right, major=MAJOR + 1)),
            ("a segment that claims 4 billion rings", "number of rings", segment(right, ring_count=0xFFFFFFFF)),
            ("a segment with rings of no size", "ring size", segment(right, ring_size=0)),
            ("a segment without an interval", "interval is out of range", segment(right, interval=0)),
            ("a segment that is not sealed", "not sealed", segment(right, seals=0)),
            ("a pipe", "not a memfd", os.pipe()[0]),
            ("a file on disk", "not a memfd", os.open(__file__, os.O_RDONLY))):
        yield name, reason, HANDSHAKE, [descriptor]
    yield "no descriptor at all", "", HANDSHAKE, []
    yield "a handshake of garbage", "", b"\xff" * 16, [segment(right)]
    yield "a handshake that is too short", "", HANDSHAKE[:7], [segment(right)]
    yield "a handshake that is too long", "", HANDSHAKE * 100, [segment(right)]


def garbage_for_the_api():
    yield "nothing at all", b""
    yield "a length of 4 GiB", struct.pack("<IHH", 0xFFFFFFFF, 1, 0) + b"x"
    yield "a length over the limit", struct.pack("<IHH", (64 << 10) + 1, 1, 0)
    yield "another version", struct.pack("<IHH", 2, 77, 0) + b"\0\0"
    yield "a message that is not protobuf", struct.pack("<IHH", 64, 1, 0) + b"\xff" * 64
    yield "an empty message", struct.pack("<IHH", 0, 1, 0)
    yield "half a message", struct.pack("<IHH", 100, 1, 0) + b"\x0a"
    yield "an HTTP request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "64 KiB of zeros", bytes(65536)


def send_garbage(profiler, data):
    """True if the daemon answers or closes in bounded time, rather than waiting for more."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(os.path.join(profiler.directory, "api.sock"))
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            return False
    return True


class Checks:
    def __init__(self, tap, profiler, program):
        self.tap, self.profiler, self.program = tap, profiler, program

    def still_serves(self, name):
        result = self.profiler.ctl("snapshot", self.program.pid, "-f", "json", check=False)
        self.tap.ok(result.returncode == 0 and self.profiler.daemon.poll() is None,
                    f"after {name} the daemon still serves", result.stderr.decode() + self.profiler.said())

    def refused(self, result, code, name):
        text = result.stderr.decode() if isinstance(result.stderr, bytes) else result.stderr
        self.tap.ok(result.returncode == code and text.strip(), f"{name}: exit code {code} and a reason",
                    f"exit code {result.returncode}, said: {text}")


def check_processes(checks):
    profiler = checks.profiler
    dead = subprocess.Popen(["true"])
    dead.wait()
    checks.refused(profiler.ctl("snapshot", dead.pid, check=False), 3, "a dead process")
    with subprocess.Popen(["sleep", "1000"]) as bare:
        checks.refused(profiler.ctl("snapshot", bare.pid, check=False), 3, "a process without the agent")
        bare.kill()
    checks.refused(profiler.ctl("snapshot", 2**31 - 1, check=False), 3, "the largest process id")
    for wrong in ("0", "-1", "x", "99999999999"):
        checks.refused(profiler.ctl("snapshot", "--", wrong, check=False), 2, f"'{wrong}' as a process")
    checks.refused(profiler.ctl("snapshot", checks.program.pid, "-f", "bogus", check=False), 2, "an unknown format")
    checks.refused(profiler.ctl("snapshot", checks.program.pid, "-o", "/nonexistent/x.json", check=False), 1,
                   "a file that cannot be written")


def check_sockets(checks):
    for name, directory, code in (("a directory that does not exist", "/nonexistent", 4), ("a file", "/etc/passwd", 4),
                                  ("a path too long for a socket", "/" + "x" * 200, 2)):
        result = subprocess.run([profiled.CTL, "list"], env=dict(os.environ, SPPROF_SOCKET=directory),
                                stdin=subprocess.DEVNULL, capture_output=True, check=False)
        checks.refused(result, code, f"SPPROF_SOCKET is {name}")
        env = dict(checks.profiler.env(rate="1K"), SPPROF_SOCKET=directory)
        done = subprocess.run(["/bin/echo", "fine"], env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        checks.tap.ok(done.returncode == 0 and done.stdout == b"fine\n" and not done.stderr,
                      f"SPPROF_SOCKET is {name}: the program does not notice", done.stderr.decode())


def check_segments(checks):
    """Each refused for what is wrong with it, and none for anything else: one with nothing wrong is taken."""
    profiler, tap = checks.profiler, checks.tap

    def heard(reason, data, descriptors):
        """Spoken of once a second when there was much to speak of."""
        hand_over(profiler, data, [os.dup(fd) for fd in descriptors])
        return reason in profiler.said()[before:]

    def has_session():
        return profiler.ctl("snapshot", os.getpid(), check=False).returncode == 0

    for name, reason, data, descriptors in forged_segments():
        before = len(profiler.said())
        tap.ok(profiled.until(lambda: heard(reason, data, descriptors)),
               f"{name} is refused: {reason or 'without a word'}", profiler.said()[before:])
        for fd in descriptors:
            os.close(fd)
        checks.still_serves(name)
        tap.ok(not has_session(), f"{name} makes no session")
    hand_over(profiler, HANDSHAKE, [segment(segment_size()), os.pipe()[0]])
    tap.ok(profiled.until(has_session), "a segment without a fault is taken, and what else comes along left alone",
           profiler.said())
    checks.still_serves("a second descriptor")


def as_nobody(argv, **options):
    return subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", *argv],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)


def check_users(checks):
    profiler, tap = checks.profiler, checks.tap
    if os.getuid() != 0:
        tap.skip("another user's process is refused", "only root can become another user")
        return
    # The build tree may be closed to others: what nobody runs must lie in the open.
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        ctl = os.path.join(place, "spprofctl")
        subprocess.run(["cp", profiled.CTL, ctl], check=True)
        os.chmod(profiler.directory, stat.S_IMODE(os.stat(profiler.directory).st_mode) | 0o055)
        env = dict(os.environ, SPPROF_SOCKET=profiler.directory)
        result = as_nobody([ctl, "snapshot", str(checks.program.pid)], env=env)
        checks.refused(result, 5, "another user's process")
        listed = as_nobody([ctl, "list", "--json"], env=env)
        tap.ok(str(checks.program.pid) not in listed.stdout.decode(), "another user's list does not show it",
               listed.stdout.decode())
        os.chmod(profiler.directory, 0o700)
        result = as_nobody([ctl, "list"], env=env)
        tap.ok(result.returncode in (4, 5) and result.stderr, "a directory without permission is named as the reason",
               result.stderr.decode())


def main():
    profiled.need("setpriv")
    tap = Tap()
    with profiled.Profiler() as profiler:
        source = "import sys; x = [bytes(10000) for _ in range(1000)]; print('full', flush=True); sys.stdin.readline()"
        with profiler.run(["/usr/bin/python3", "-c", source], rate="16K", stdout=subprocess.PIPE) as program:
            program.process.stdout.readline()
            checks = Checks(tap, profiler, program)
            checks.still_serves("a good start")
            check_processes(checks)
            check_sockets(checks)
            check_segments(checks)
            for name, data in garbage_for_the_api():
                tap.ok(send_garbage(profiler, data), f"{name} to the API is answered or closed")
                checks.still_serves(name)
            check_users(checks)
            checks.still_serves("all of it")
    tap.done()


main()
