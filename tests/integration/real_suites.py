#!/usr/bin/env python3
"""Test suites of real programs, bare and under the agent (TAP): each test, by name, ends the same both ways.

usage: real_suites.py [--keep DIR] [--suites DIR] [--list] [PATTERN...]

Interval 1 KiB without a ceiling, with a spprofd that drains. A suite is run in parts, each with a deadline; what has
finished is kept in --keep and not run again. Patterns choose parts ("redis unit/type", "cpython test_os"). What differs
is run twice more both ways: a test that passes now and then either way is told as unsteady and is no failure, but a
crash or a hang that the bare program never showed is one, however often it comes.

The suites are Debian's own, of the package that is installed or else fetched without touching the system's apt
(tests/integration/suite_sources.py). A suite that cannot be had is skipped visibly.
"""
import argparse
import collections
import os
import re
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
import suite_kinds  # noqa: E402
import suite_sources  # noqa: E402
from suite_kinds import END, NAMELESS  # noqa: E402
from tap import Tap  # noqa: E402

AGAIN = 2

# What differs by design, and why. Only an ordinary failure is excused by it.
BY_DESIGN = {
    "test.test_subprocess.POSIXProcessTestCase.test_pass_fds_redirected":
        "compares all descriptors that a child has open; the agent has one",
    "test.test_sys.SysModuleTest.test_debugmallocstats":
        "CPython tells of its arenas where the allocator in use is its own by address; small objects are sampled by another",
    **{f"test.test_cmd_line.CmdLineTest.{name}":
       "asks CPython which of its own allocators it uses; small objects are sampled by another"
       for name in ("test_pythonmalloc", "test_xdev")},
    **{f"test.test_capi.{name}.test_set_nomemory":
       "fails the nth call of an allocator; small objects that are sampled make some besides"
       for name in ("CAPITest", "test_misc.CAPITest", "test_mem.PyMemDebugTests", "test_mem.PyMemPymallocDebugTests",
                    "test_mem.PyMemMallocDebugTests", "test_mem.PyMemDefaultTests")},
}


def suites(place, tap):
    """Those that can be had; the others are skipped by name."""
    for name, prepare, make in (
            ("cpython", suite_sources.prepare_python, lambda home: [suite_kinds.Python(home, ""), suite_kinds.Python(home, "malloc")]),
            ("other cpythons", suite_sources.other_pythons, lambda found: [suite_kinds.OtherPython(*each) for each in found]),
            ("greenlet", suite_sources.prepare_greenlet, lambda home: [suite_kinds.Greenlet()]),
            ("redis", suite_sources.prepare_redis, lambda home: [suite_kinds.Redis(home)]),
            ("postgresql", suite_sources.prepare_postgres, lambda home: [suite_kinds.Postgres(home)]),
            ("git", suite_sources.prepare_git, lambda home: [suite_kinds.Git(home)]),
            ("sqlite", suite_sources.prepare_sqlite, lambda home: [suite_kinds.Sqlite(home)])):
        try:
            yield from make(prepare(place))
        except suite_sources.Unavailable as reason:
            tap.skip(f"{name}: its tests end as without the agent", reason)
    yield suite_kinds.Outputs()


class Runs:
    """Runs of one part, bare and under the agent, and what they gave."""

    def __init__(self, part, keep):
        self.part, self.keep = part, keep
        self.bare, self.under, self.seconds = [], [], 0.0

    def once(self, agent):
        with tempfile.TemporaryDirectory(prefix="spprof-suite-", ignore_cleanup_errors=True) as directory:
            os.chmod(directory, 0o755)
            begin = time.monotonic()
            if agent:
                with profiled.Profiler() as profiler:
                    os.chmod(profiler.directory, 0o755)
                    results, output = self.part.run(self.clean(profiler.env(rate="1K")), directory)
                    counters = profiled.json.loads(profiler.ctl("stats", "--json").stdout)["counters"]
            else:
                results, output = self.part.run(self.clean(dict(os.environ)), directory)
                counters = {}
        if self.keep:
            with open(os.path.join(self.keep, f"{self.part.suite.name}-{self.part.name}-{'under' if agent else 'bare'}.log".replace("/", "_")),
                      "ab") as file:
                file.write(output)
        return {"results": results, "seconds": time.monotonic() - begin, "processes": counters.get("sessions_adopted", 0),
                "bytes": counters.get("drain_bytes", 0)}

    @staticmethod
    def clean(env):
        """Without what make and a harness leave behind, and in one language."""
        drop = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SRCDIR", "BUILDDIR", "CK_TIMEOUT_MULTIPLIER", "PYTHONPATH")
        return dict({key: value for key, value in env.items() if key not in drop}, LC_ALL="C.UTF-8")

    def differing(self):
        """{name: (results bare, results under the agent)} of what did not end the same in all runs."""
        names = {name for run in self.bare + self.under for name in run["results"]}
        outcomes = {name: tuple([run["results"].get(name, "absent") for run in runs] for runs in (self.bare, self.under))
                    for name in names}
        return {name: pair for name, pair in sorted(outcomes.items()) if len(set(pair[0] + pair[1])) > 1}

    def run(self):
        self.bare.append(self.once(False))
        self.under.append(self.once(True))
        for _ in range(AGAIN if self.differing() else 0):
            self.bare.append(self.once(False))
            self.under.append(self.once(True))
        return {"bare": self.bare, "under": self.under, "different": self.differing()}


def verdict(kept, name):
    """The agent is at fault if it brings a crash or a hang that bare runs never had, or never the same result."""
    bare, under = (set(results) for results in kept["different"][name])
    if any(result == "hang" or result.startswith("signal") for result in under - bare):
        return "differs"
    if bare & under:
        return "is unsteady"
    excused = [other for other in kept["different"] if other in BY_DESIGN]
    # The status of a process says no more than its tests do, where all of them are known.
    told = {other for other in kept["different"] if other not in (END, NAMELESS)}
    if name in BY_DESIGN or (name not in told and excused and told <= set(BY_DESIGN)):
        return "differs by design"
    return "differs"


def judge(tap, part, kept):
    harm = [name for name in kept["different"] if verdict(kept, name) == "differs"]
    for name, (bare, under) in kept["different"].items():
        how = verdict(kept, name)
        tap.note(f"{part.suite.name} {part.name}: {name} {how}: bare {', '.join(bare)[:300]}; under the agent {', '.join(under)[:300]}")
    title = f"{part.suite.name} {part.name} ends as without the agent"
    if all(run["results"] == {END: "status 0"} for run in kept["bare"] + kept["under"]):
        return tap.skip(title, "its suite skips it here, bare as well")
    reasons = [reason for reason, holds in (
        ("no process was sampled", not all(run["processes"] and run["bytes"] for run in kept["under"])),
        ("no test was run", not any(len(run["results"]) > 1 for run in kept["bare"]))) if holds]
    return tap.ok(not harm and not reasons, title, reasons)


def passed(run):
    return sum(result in ("passed", "ok") for name, result in run["results"].items() if name != END)


def table(tap, rows):
    """Sums of each suite, of first runs."""
    tap.note("suite: tests; passed bare, under the agent; differing, by design, unsteady; processes and MB drained; seconds bare, under")
    for suite, all_kept in rows.items():
        bare, under = [kept["bare"][0] for kept in all_kept], [kept["under"][0] for kept in all_kept]
        verdicts = collections.Counter(verdict(kept, name) for kept in all_kept for name in kept["different"])
        count = sum(len(run["results"]) - 1 for run in bare)
        plain = suite == suite_kinds.Outputs.name
        tap.note(f"{suite}: {count} tests; " + ("" if plain else f"{sum(map(passed, bare))}, {sum(map(passed, under))} passed; ") +
                 f"{verdicts['differs']} differ, {verdicts['differs by design']} by design, {verdicts['is unsteady']} unsteady; "
                 f"{sum(run['processes'] for run in under)} processes, "
                 f"{sum(run['bytes'] for run in under) / 1e6:.0f} MB; {sum(run['seconds'] for run in bare):.0f} s, "
                 f"{sum(run['seconds'] for run in under):.0f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", help="folder in which finished parts are kept and found again")
    parser.add_argument("--suites", help="folder for what is fetched (default: BUILDDIR/suites)",
                        default=os.path.join(profiled.BUILD, "suites"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    profiled.need()
    tap, rows = Tap(), collections.defaultdict(list)
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
    for suite in suites(os.path.abspath(options.suites), tap):
        for part in suite.parts():
            title = f"{suite.name} {part.name}"
            if options.patterns and not any(re.search(pattern, title) for pattern in options.patterns):
                continue
            if options.list:
                print(title)
                continue
            key = re.sub(r"[^a-z0-9_]+", "-", title.lower())
            rows[suite.name].append(profiled.kept(options.keep, key, lambda _, part=part: Runs(part, options.keep).run()))
            judge(tap, part, rows[suite.name][-1])
    if not options.list:
        table(tap, rows)
        tap.done()


main()
