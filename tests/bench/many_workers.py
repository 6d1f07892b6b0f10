#!/usr/bin/env python3
"""What many workers that do nothing cost their daemon, and how long a new one takes to serve all of them, as tables.

usage: many_workers.py [--workers N] [--seconds N]
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import measured
from measured import profiled

LISTS = 50


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(next(line.split()[1] for line in file if line.startswith(key + ":")))


def helpers(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


def busy(pids, seconds):
    """Percent of one core that these take."""
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    return sum(cpu_seconds(pid) - begin for pid, begin in before.items()) / seconds * 100


def listed(profiler):
    """(ms of a list, how many are attached, of these confirmed)"""
    begin = time.monotonic()
    said = profiler.ctl("list", "--json").stdout
    took = 1e3 * (time.monotonic() - begin)
    found = [process for process in json.loads(said)["processes"] if process["state"] == "attached"]
    return took, len(found), sum(not process.get("unconfirmed") for process in found)


def seconds_until(condition):
    begin = time.monotonic()
    profiled.until(condition)
    return f"{time.monotonic() - begin:.2f}"


def print_idle(profiler, seconds):
    daemon = profiler.daemon.pid
    lists = [listed(profiler)[0] for _ in range(LISTS)]
    time.sleep(seconds)  # until what was asked for last is forgotten
    switches = status(daemon, "voluntary_ctxt_switches")
    own = busy([daemon], seconds)
    switches = (status(daemon, "voluntary_ctxt_switches") - switches) / seconds
    row = [f"{status(daemon, 'VmRSS') / 1024:.1f}", str(len(os.listdir(f"/proc/{daemon}/fd"))), f"{own:.1f}", f"{switches:.0f}",
           f"{busy(helpers(daemon), seconds):.1f}", f"{statistics.median(lists):.1f}", f"{max(lists):.1f}"]
    measured.print_table("Idle", ["resident MiB", "descriptors", "% of a core", "wake-ups a second", "helpers, % of a core",
                                  "`list`, median ms", "longest"], [row])


def print_restarts(profiler, workers):
    rows = []
    for _ in range(3):
        profiler.kill_daemon()
        profiler.start_daemon()
        rows.append([seconds_until(lambda: listed(profiler)[1] == workers), seconds_until(lambda: listed(profiler)[2] == workers),
                     f"{status(profiler.daemon.pid, 'VmHWM') / 1024:.1f}"])
    measured.print_table("After a kill: a new daemon", ["s until all are attached", "and all confirmed, more", "peak MiB"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    measured.need()
    with profiled.Profiler() as profiler:
        env, programs = profiler.env(rate="512K"), []
        try:
            for _ in range(arguments.workers):
                programs.append(subprocess.Popen(["sleep", "10000"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
            profiled.until(lambda: listed(profiler)[1] == arguments.workers)
            print_idle(profiler, arguments.seconds)
            print_restarts(profiler, arguments.workers)
        finally:
            for program in programs:
                program.kill()
            for program in programs:
                program.wait()


main()
