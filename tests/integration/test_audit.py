#!/usr/bin/env python3
"""The agent's stacks against libunwind's, in real programs of which every second sample is audited (TAP).

usage: test_audit.py [PATTERN]   (of the programs' names, in audited_programs.py)

Both must find the same frames in at least 99.9 % of the stacks that libunwind can judge, and it must be able to judge
most: all that the agent has not guessed itself, and these, too, in programs that make no code. SPPROF_STRESS=N takes
more programs with more to do, and runs each until N times 500 stacks have been judged, for docs/measurements.md.
"""
import collections
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import audited_programs  # noqa: E402
import profiled  # noqa: E402
import suite_kinds  # noqa: E402
from tap import Tap  # noqa: E402

STRESS = int(os.environ.get("SPPROF_STRESS", "0"))
EVERY = "2"
AGREEMENT = 0.999
DEADLINE_S = 600
LEAST = 20  # stacks that must have been judged; a machine that is busy may need several runs for them
WANTED = max(LEAST, 500 * STRESS)
MOST_RUNS = 20 + 4 * STRESS
PATIENCE_S = 120


def finished(profiler):
    """Counters of all processes of the run, once nothing is waiting for a verdict."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        listed = json.loads(profiler.ctl("list", "--all", "--json").stdout)["processes"]
        all_counters = [profiled.counters(profiler, process["pid"]) for process in listed]
        if not any(c["audits_pending"] for c in all_counters) or time.monotonic() > deadline:
            return all_counters
        time.sleep(0.05)


def become(user):
    """Options that make a program another user's, where root runs this."""
    if not user or os.geteuid() != 0:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def run(program, directory, sums):
    """One run, its counters added. What was said if anything went wrong."""
    with profiled.Profiler() as profiler:
        os.chmod(profiler.directory, 0o755)
        env = profiler.env(program.rate, SPPROF_AUDIT=EVERY, PYTHONMALLOC="malloc", HOME=directory,
                           PATH=directory + ":" + os.environ["PATH"])
        env["AUDITED_PRELOAD"] = env.pop("LD_PRELOAD")
        output, end = suite_kinds.execute(program.argv, env, directory, DEADLINE_S, **become(program.as_user))
        for counters in finished(profiler):
            sums.update({name: value for name, value in counters.items() if "audits" in name})
        if end != "status 0" or "audits stacks" in profiler.said():
            return f"{end}\n{output[-2000:].decode(errors='replace')}\n{profiler.said()}"
        return ""


def agreed(sums):
    return sums["audits_agreed"] + sums["audits_agreed_in_part"]


def judged(sums):
    return agreed(sums) + sums["audits_disagreed"] + sums["audits_stopped_early"] + sums["audits_not_followed"]


def unjudged(sums, compiles):
    """But for those that were refused for want of time, whatever they were, and for what no unwinder can follow."""
    left_out = ["busy"] + (["guessed"] if compiles else [])
    return sum(value for name, value in sums.items()
               if name.startswith("audits_unjudged_") and name[len("audits_unjudged_"):] not in left_out)


def run_often(program, directory):
    """Until enough has been judged: the sums of the counters, and what was said by a run that went wrong."""
    sums = collections.Counter()
    for _ in range(MOST_RUNS):
        trouble = run(program, directory, sums)
        if trouble or judged(sums) >= WANTED:
            break
    return sums, trouble


def judge(tap, program, directory):
    name = program.name
    sums, trouble = run_often(program, directory)
    tap.ok(not trouble, f"{name} runs and is audited without trouble", trouble)
    tap.note(f"{name}: " + ", ".join(f"{key} {value:.0f}" for key, value in sorted(sums.items()) if value))
    tap.ok(judged(sums) >= LEAST and agreed(sums) >= AGREEMENT * judged(sums),
           f"{name}: libunwind agrees in 99.9 % of the stacks")
    missed = unjudged(sums, program.compiles)
    tap.ok(missed <= 0.01 * (judged(sums) + missed),
           f"{name}: 99 % of the stacks{' without guessed frames' if program.compiles else ''} could be judged")
    return sums


COLUMNS = [  # (title, counters whose sum it is)
    ("judged", ["agreed", "agreed_in_part", "disagreed", "stopped_early", "not_followed"]),
    ("agree", ["agreed", "agreed_in_part"]), ("cut short", ["agreed_cut_short"]), ("in part", ["agreed_in_part"]),
    ("frames", ["frames"]), ("disagree", ["disagreed"]), ("early", ["stopped_early"]), ("not followed", ["not_followed"]),
    ("guessed", ["unjudged_guessed"]), ("no file", ["unjudged_no_file"]), ("unmapped", ["unjudged_unmapped"]),
    ("vdso", ["unjudged_vdso"]), ("failed", ["unjudged_broken", "unjudged_helper"]), ("busy", ["unjudged_busy"])]


def print_table(tap, rows):
    """Stacks judged and how many agree, of these those that both cut short and those that the copy cuts; frames that both
    found; what does not agree; what could not be judged, by why."""
    width = max(map(len, rows), default=0)
    widths = [max(len(title), 7) for title, _ in COLUMNS]
    tap.note(" " * width + "".join(f"  {title:>{room}}" for (title, _), room in zip(COLUMNS, widths)))
    for name, sums in rows.items():
        cells = (sum(sums["audits_" + part] for part in parts) for _, parts in COLUMNS)
        tap.note(f"{name:{width}}" + "".join(f"  {cell:{room}.0f}" for cell, room in zip(cells, widths)))


def judge_default(tap, directory):
    """Audits come by themselves, and can be turned off."""
    program = audited_programs.build(directory)
    if not program:
        tap.skip("one sample in a thousand is audited unless SPPROF_AUDIT says otherwise", "g++ is not installed")
        return
    told = []
    for more in ({}, {"SPPROF_AUDIT": "0"}):
        with profiled.Profiler() as profiler:
            subprocess.run([program], env=profiler.env("1K", **more), stdin=subprocess.DEVNULL, check=True)
            counters = finished(profiler)[0]
            told.append((counters["agent_samples"], sum(counters[f"agent_audits{suffix}"]
                                                        for suffix in ("", "_dropped", "_foreign"))))
    (samples, audits), (_, none) = told
    tap.ok(samples > 3000 and samples // 1000 - 1 <= audits <= samples // 1000 and none == 0,
           "one sample in a thousand is audited unless SPPROF_AUDIT says otherwise", f"{told}")


def prepare(directory):
    """Others' programs work there, too, and what they are made of is read when they have ended."""
    os.chmod(directory, 0o1777)
    under = os.path.join(directory, "under")
    with open(under, "w", encoding="utf-8") as file:
        file.write('#!/bin/sh\nexec env LD_PRELOAD="$AUDITED_PRELOAD" "$@"\n')
    os.chmod(under, 0o755)


def main():
    profiled.need()
    tap = Tap()
    with tempfile.TemporaryDirectory() as directory:
        prepare(directory)
        rows = {}
        for program in (audited_programs.many if STRESS else audited_programs.few)(directory):
            if not all(re.search(word, program.name) for word in sys.argv[1:2]):
                continue
            missing = [need for need in program.needs if not shutil.which(need)]
            if missing:
                tap.skip(f"{program.name}: libunwind agrees in 99.9 % of the stacks", f"{missing[0]} is not installed")
            else:
                rows[program.name] = judge(tap, program, directory)
        print_table(tap, rows)
        judge_default(tap, directory)
    tap.done()


if __name__ == "__main__":
    main()
