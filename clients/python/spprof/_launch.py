"""Programs of Python under the agent: what `python3 -m spprof run` and `env` do.

The program replaces this one, so that its pid, its parent and its signals are what they would be without.
"""
import os
import re
import sys
from typing import Dict, List, NoReturn, Optional

from . import _install

_SIZE = re.compile(r"([0-9]+)([KMG]?)$", re.I)
_MAX_RATE = 1 << 40


def parse_rate(text: str) -> int:
    """Bytes. ValueError: no size from 1 to 1024G."""
    match = _SIZE.match(text)
    rate = int(match[1]) << 10 * " KMG".index(match[2].upper() or " ") if match else 0
    if not 1 <= rate <= _MAX_RATE:
        raise ValueError(f"'{text}' is not a size from 1 to 1024G, like 64K or 1M")
    return rate


def environment(rate: Optional[int], socket_dir: Optional[str]) -> Dict[str, str]:
    """What has to be set to bring the agent into a program. RuntimeError: it is not there."""
    agent = _install.agent()
    # ld.so(8) separates by colons and spaces alike, and knows no quoting.
    if re.search(r"[: ]", agent):
        raise RuntimeError(f"LD_PRELOAD cannot name '{agent}': move spprof to a path without blanks and colons")
    present = [path for path in re.split(r"[: ]+", os.environ.get("LD_PRELOAD", "")) if path]
    variables = {"LD_PRELOAD": ":".join(present if agent in present else [agent, *present])}
    if rate is not None:
        variables["SPPROF_RATE"] = str(rate)
    if socket_dir is not None:
        variables["SPPROF_SOCKET"] = os.path.abspath(socket_dir)
    return variables


def _own_options() -> List[str]:
    """The options of this interpreter, which the next one is to have, too."""
    arguments = list(getattr(sys, "orig_argv", sys.argv[:1]))
    return arguments[1:arguments.index("-m")] if "-m" in arguments else []


def run(arguments: List[str], variables: Dict[str, str]) -> NoReturn:
    """Executes Python with these arguments. OSError: it cannot be."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *_own_options(), *arguments], {**os.environ, **variables})


def run_with_output(arguments: List[str], rate: Optional[int], output: str, socket_dir: Optional[str]) -> NoReturn:
    """The same by `spprofctl run`, which writes the last state to a file when the program has ended."""
    command = [_install.program(_install.CTL)]
    command += ["--socket", socket_dir] if socket_dir else []
    command += ["run", "-o", output]
    command += ["-r", str(rate)] if rate is not None else []
    command += ["--", sys.executable, *_own_options(), *arguments]
    agent = _install.agent()
    found = {"SPPROF_LIBDIR": os.path.dirname(agent),
             "SPPROF_BINDIR": os.path.dirname(_install.program(_install.DAEMON))}
    os.execve(command[0], command, {**found, **os.environ})
