"""python3 -m spprof: programs of Python under the agent, and a look at them. What is not here, spprofctl has."""
import argparse
import dataclasses
import json
import os
import shlex
import sys
from typing import List, Optional

from . import __version__, _agent, _client, _export, _install, _launch, memprof

_RUN_USAGE = "python3 -m spprof run [-r SIZE] [-o FILE] [--] SCRIPT|-m MODULE|-c CODE [ARGUMENT...]"


def _rate(text: str) -> int:
    try:
        return _launch.parse_rate(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m spprof", description=__doc__)
    parser.add_argument("--version", action="version", version=f"spprof {__version__}")
    parser.add_argument("--socket", metavar="DIR", help="where spprofd is (default: as spprofctl)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", usage=_RUN_USAGE, help="executes Python again, with the agent")
    run.add_argument("-r", "--rate", type=_rate, metavar="SIZE", help="sample about every SIZE bytes (default 512K)")
    run.add_argument("-o", "--output", metavar="FILE", help="write the last state to FILE (spprofctl run does it)")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="SCRIPT")
    env = commands.add_parser("env", help="prints the environment that brings the agent into a program")
    env.add_argument("-r", "--rate", type=_rate, metavar="SIZE", help="sample about every SIZE bytes (default 512K)")
    snapshot = commands.add_parser("snapshot", help="what lives in a process")
    snapshot.add_argument("pid", type=int)
    snapshot.add_argument("--tree", action="store_true", help="and in all that were forked from it, what they share once")
    snapshot.add_argument("-n", "--top", type=int, default=20, help="lines at most (default 20)")
    snapshot.add_argument("-o", "--output", metavar="FILE", help="write all of it to FILE")
    snapshot.add_argument("-f", "--format", choices=sorted(_export.FORMATS), default="speedscope",
                          help="of FILE (default speedscope)")
    stats = commands.add_parser("stats", help="a process's counters, as JSON")
    stats.add_argument("pid", type=int)
    commands.add_parser("where", help="where agent and daemon are")
    return parser


def _closed(arguments: List[str]) -> List[str]:
    """With "--" where the options of `run` end: -m and -c are the program's, as they are Python's."""
    if "run" not in arguments:
        return arguments
    at = arguments.index("run") + 1
    while at < len(arguments) and arguments[at].startswith("-") and arguments[at] not in ("-m", "-c", "--"):
        at += 2 if arguments[at] in ("-r", "--rate", "-o", "--output") else 1
    return arguments if at >= len(arguments) or arguments[at] == "--" else [*arguments[:at], "--", *arguments[at:]]


def _run(options: argparse.Namespace) -> int:
    arguments: List[str] = options.arguments
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    if not arguments:
        print(f"usage: {_RUN_USAGE}", file=sys.stderr)
        return 2
    if options.output:
        _launch.run_with_output(arguments, options.rate, options.output, options.socket)
    variables = _launch.environment(options.rate, options.socket)
    try:
        _client.find(options.socket)
    except RuntimeError:
        print("spprof: no spprofd answers yet: the program can start one by spprof.memprof.start(), you by `spprofd`",
              file=sys.stderr)
    _launch.run(arguments, variables)


def _env(options: argparse.Namespace) -> int:
    for name, value in _launch.environment(options.rate, options.socket).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _snapshot(options: argparse.Namespace) -> int:
    snapshot = memprof.attach(options.pid, options.socket).get_snapshot(descendants=options.tree)
    for warning in snapshot.warnings:
        print(f"spprof: {warning}", file=sys.stderr)
    if options.output:
        snapshot.save(options.output, options.format)
        return 0
    mib = 1 << 20
    if options.tree:
        print(f"{snapshot.processes} processes, what they share counted once")
    print(f"live {snapshot.estimated_heap_bytes / mib:.2f} MiB (95%: {snapshot.estimated_heap_low / mib:.2f} to "
          f"{snapshot.estimated_heap_high / mib:.2f}, {snapshot.live_samples} samples)")
    for allocator in snapshot.top_allocators(options.top):
        print(allocator)
    return 0


def _stats(options: argparse.Namespace) -> int:
    stats = memprof.attach(options.pid, options.socket).get_stats()
    print(json.dumps(dataclasses.asdict(stats), indent=2))
    return 0


def _where(options: argparse.Namespace) -> int:
    print(f"package  {os.path.dirname(os.path.abspath(__file__))}")
    print(f"agent    {_install.agent()}")
    print(f"daemon   {_install.program(_install.DAEMON)}")
    print(f"loaded   {'yes' if _agent.is_loaded() else 'no'}")
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    """Exit codes: 0 fine, 1 failed, 2 usage."""
    options = _parser().parse_args(_closed(sys.argv[1:] if arguments is None else arguments))
    command = {"run": _run, "env": _env, "snapshot": _snapshot, "stats": _stats, "where": _where}[options.command]
    try:
        return command(options)
    except (RuntimeError, ValueError, OSError) as error:
        print(f"spprof: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
