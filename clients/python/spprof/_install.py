"""Where the agent and spprofd are. In this order: SPPROF_AGENT (the library, or a directory that has it), inside this
package (`_native`), the prefix that `make install` used, and those that Python and Debian have.
"""
import importlib
import os
import shutil
import sys
from typing import Iterator, Optional

AGENT = "libspprof-agent.so"
DAEMON = "spprofd"
CTL = "spprofctl"

# Where PREFIX/lib/pythonX.Y/site-packages/spprof lies, wherever a tree that was installed has been moved to.
_OWN_PREFIX = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", ".."))
_NATIVE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_native")


def _prefix(name: str) -> Optional[str]:
    try:
        prefix = importlib.import_module("._prefix", __package__)  # made by make install
    except ImportError:
        return None
    return str(getattr(prefix, name))


def _named() -> Optional[str]:
    named = os.environ.get("SPPROF_AGENT")
    if not named:
        return None
    return os.path.abspath(os.path.join(named, AGENT) if os.path.isdir(named) else named)


def _agents() -> Iterator[str]:
    yield os.path.join(_NATIVE, AGENT)
    installed = _prefix("PKGLIBDIR")
    for folder in [installed] if installed else []:
        yield os.path.join(folder, AGENT)
    for prefix in (_OWN_PREFIX, sys.prefix, "/usr/local", "/usr"):
        yield os.path.join(prefix, "lib", "spprof", AGENT)


def agent() -> str:
    """The agent's path. RuntimeError: it is not there."""
    named = _named()
    if named:
        if os.access(named, os.R_OK):
            return named
        raise RuntimeError(f"SPPROF_AGENT names {named}, which cannot be read")
    for path in _agents():
        if os.access(path, os.R_OK):
            return path
    raise RuntimeError(f"{AGENT} is not installed: run `make install` in spprof's build directory, or set SPPROF_AGENT "
                       "to the library")


def _programs(name: str) -> Iterator[str]:
    named = _named()
    folder = os.environ.get("SPPROF_BINDIR")
    if folder:
        yield os.path.join(folder, name)
    if named:
        # Beside it, or where a build tree (.libs/) and a prefix (lib/spprof/) have it.
        folder = os.path.dirname(named)
        for below in (".", "..", "../../bin"):
            yield os.path.normpath(os.path.join(folder, below, name))
    yield os.path.join(_NATIVE, name)
    installed = _prefix("BINDIR")
    if installed:
        yield os.path.join(installed, name)
    on_path = shutil.which(name)
    if on_path:
        yield on_path
    for prefix in (_OWN_PREFIX, sys.prefix, "/usr/local", "/usr"):
        yield os.path.join(prefix, "bin", name)


def program(name: str) -> str:
    """The path of spprofd or spprofctl. RuntimeError: it is not there."""
    for path in _programs(name):
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise RuntimeError(f"{name} is not installed: run `make install` in spprof's build directory, or set SPPROF_BINDIR to "
                       "its folder")
