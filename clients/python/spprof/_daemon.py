"""A spprofd for this process alone, where none answers: in a directory of its own, and gone with the process.

It is no child of the process: a program that waits for all of its children must not wait for it. It watches the
process by itself (--exit-with-pid), and the shell in between removes the directory when it has ended.
"""
import os
import select
import shutil
import signal
import subprocess
import tempfile
from typing import Optional

from . import _install
from ._client import Client

_READY_SECONDS = 15.0
_STOP_SECONDS = 5.0
# With "/agent.sock" behind it a directory's name must fit into a socket address of 108 bytes.
_DIR_SIZE_MAX = 90
_SCRIPT = 'dir=$1; shift; { "$@"; rm -rf "$dir"; } &'


def _make_dir() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = "/tmp"
    if runtime.startswith("/") and len(runtime) < _DIR_SIZE_MAX - 16 and os.path.isdir(runtime) \
            and os.stat(runtime).st_uid == os.geteuid():
        parent = runtime
    return tempfile.mkdtemp(prefix="spprof-", dir=parent)


class PrivateDaemon:
    """Started by __init__ (RuntimeError: it cannot be), ended by stop(). The owner's lock guards it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._pidfd: Optional[int] = None
        program = _install.program(_install.DAEMON)
        self.directory = _make_dir()
        self.client = Client(self.directory)
        try:
            self._start(program)
            pid = self.client.ping()["pid"]
            self._pidfd = os.pidfd_open(pid)
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _start(self, program: str) -> None:
        environment = dict(os.environ)
        environment.pop("LD_PRELOAD", None)  # it would profile itself
        ready, told = os.pipe()
        with os.fdopen(ready, "rb") as reader:
            try:
                subprocess.run(
                    ["/bin/sh", "-c", _SCRIPT, "sh", self.directory, program, "--socket-dir", self.directory,
                     "--ready-fd", str(told), "--exit-with-pid", str(self.owner)],
                    env=environment, pass_fds=[told], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    start_new_session=True, check=True)
            finally:
                os.close(told)
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            if not poll.poll(_READY_SECONDS * 1000):
                raise RuntimeError(f"{program} was not ready after {_READY_SECONDS:.0f} seconds")
            if not reader.read(1):
                raise RuntimeError(f"{program} ended before it was ready, for the reason on standard error")

    def forget(self) -> None:
        """In a forked child: it is the parent's."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def stop(self) -> None:
        """Ends it and waits until it has ended. Does nothing the second time, and in a forked child."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is None:
            return
        try:
            if os.getpid() == self.owner:
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
                if not poll.poll(_STOP_SECONDS * 1000):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                shutil.rmtree(self.directory, ignore_errors=True)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)
