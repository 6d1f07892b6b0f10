#!/usr/bin/env python3
"""The agent's stacks against libunwind's, in real programs of which every second sample is audited (TAP).

Both must find the same frames in at least 99.9 % of the stacks that libunwind can judge, and it must be able to judge
most. SPPROF_STRESS=N adds more programs and runs each N times as often, for the figures in docs/measurements.md.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

TIMES = int(os.environ.get("SPPROF_STRESS", "0"))
EVERY = "2"
AGREEMENT = 0.999
LEAST = 20  # stacks that must have been judged; a machine that is busy may need several runs for them
MOST_RUNS = 20
PATIENCE_S = 120

PYTHON = """
import json, re, threading
def work(n):
    keep = []
    for i in range(n):
        keep.append(json.loads(json.dumps({"a": [i] * 20, "b": str(i) * 30})))
        keep.append(re.sub("a+", "b", "aab" * (i % 50)))
threads = [threading.Thread(target=work, args=(1500,)) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sorted(range(20000), key=lambda x: -x)
"""
SQL = """
create table t(a integer, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into t select i, hex(randomblob(i % 300)) from n;
create index x on t(b);
select count(*) from (select substr(b, 1, 2) as k, count(*) from t group by k order by 2);
"""
CXX = """
#include <algorithm>
#include <map>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>
static int risky(int i)
{
	std::string text(200 + i % 900, 'x');
	if (i % 3 == 0)
		throw std::runtime_error(text);
	return static_cast<int>(text.size());
}
int main()
{
	std::map<std::string, std::vector<std::shared_ptr<std::string>>> all;
	int caught = 0;
	for (int i = 0; i < 20000; i++) {
		all["a key with some length " + std::to_string(i % 999)].push_back(
			std::make_shared<std::string>(40 + i % 200, 'x'));
		try {
			risky(i);
		} catch (const std::exception &) {
			caught++;
		}
	}
	std::regex words("([a-z]+) ([0-9]+)");
	for (int i = 0; i < 300; i++)
		std::regex_match("abc " + std::to_string(i), words);
	return all.size() == 999 && caught > 0 ? 0 : 1;
}
"""
PERL = "my %h; for my $i (1..60000) { $h{$i % 5000} .= join(',', map { $_ * 2 } 1..20); } print scalar(keys %h);"
C_SOURCE = "#include <stdio.h>\n#include <math.h>\n" + "".join(
    f"double f{i}(double *x, int n) {{ double s = {i}; for (int k = 0; k < n; k++) s += x[k] * sin(s + {i}); "
    f"if (n > {i}) printf(\"%f\", s); return s; }}\n" for i in range(300))


def build(directory):
    """A C++ program, or None without a compiler."""
    if not shutil.which("g++"):
        return None
    source, program = (os.path.join(directory, name) for name in ("work.cpp", "work"))
    if os.path.exists(program):
        return program
    with open(source, "w", encoding="utf-8") as file:
        file.write(CXX)
    subprocess.run(["g++", "-O2", "-o", program, source], check=True)
    return program


def programs(directory):
    """(name, command, rate); command None: not installed."""
    yield "python3", shutil.which("python3") and ["/usr/bin/python3", "-c", PYTHON], "16K"
    yield "sqlite3", shutil.which("sqlite3") and ["sqlite3", ":memory:", SQL], "16K"
    yield "a C++ program", [build(directory)] if shutil.which("g++") else None, "16K"
    if not TIMES:
        return
    c_file, repository = (os.path.join(directory, name) for name in ("work.c", "repository"))
    with open(c_file, "w", encoding="utf-8") as file:
        file.write(C_SOURCE)
    yield "perl", shutil.which("perl") and ["perl", "-e", PERL], "16K"
    yield "gcc -O2 (cc1)", shutil.which("gcc") and ["gcc", "-O2", "-c", "-o", "/dev/null", c_file], "64K"
    yield "g++ -O2 (cc1plus)", shutil.which("g++") and [
        "g++", "-O2", "-c", "-o", "/dev/null", os.path.join(directory, "work.cpp")], "256K"
    if shutil.which("git"):
        os.mkdir(repository)
        for i in range(300):
            with open(os.path.join(repository, f"file{i}"), "w", encoding="utf-8") as file:
                file.write(f"{i}\n" * 2000)
        yield "git", ["sh", "-c", f"cd {repository} && rm -rf .git && git init -q && git add . && git gc -q"], "64K"
    if shutil.which("redis-server"):
        script = ("redis-server --port 0 --unixsocket s --save '' --dir . > /dev/null & "
                  "until redis-cli -s s ping 2>/dev/null | grep -q PONG; do :; done; "
                  "redis-benchmark -s s -q -n 30000 -r 10000 -d 400 -t set,lpush,sadd,hset,zadd > /dev/null; "
                  "redis-cli -s s shutdown nosave; wait")
        yield "redis-server", ["sh", "-c", f"cd {directory}; {script}"], "64K"


def finished(profiler):
    """Counters of all processes of the run, once nothing is waiting for a verdict."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        listed = json.loads(profiler.ctl("list", "--all", "--json").stdout)["processes"]
        all_counters = [profiled.counters(profiler, process["pid"]) for process in listed]
        if not any(c["audits_pending"] for c in all_counters) or time.monotonic() > deadline:
            return all_counters
        time.sleep(0.05)


def add(sums, all_counters):
    for counters in all_counters:
        for name, value in counters.items():
            if name.startswith("audits_"):
                sums[name] = sums.get(name, 0) + value


def run(argv, rate, sums):
    with profiled.Profiler() as profiler:
        env = profiler.env(rate, SPPROF_AUDIT=EVERY, PYTHONMALLOC="malloc")
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        add(sums, finished(profiler))
        return done.returncode == 0 and "audits stacks" not in profiler.said()


def judgements(sums):
    """(agreed, judged)"""
    agreed = sums["audits_agreed"] + sums["audits_agreed_in_part"]
    return agreed, agreed + sums["audits_disagreed"] + sums["audits_stopped_early"] + sums["audits_not_followed"]


def judge(tap, name, argv, rate):
    sums, well = {}, True
    for number in range(max(TIMES, MOST_RUNS)):
        well = run(argv, rate, sums) and well
        if number + 1 >= TIMES and judgements(sums)[1] >= LEAST:
            break
    tap.ok(well, f"{name} runs and is audited without trouble")
    agreed, judged = judgements(sums)
    unjudged = sum(value for key, value in sums.items() if key.startswith("audits_unjudged_"))
    unjudged -= sums["audits_unjudged_busy"]  # refused for want of time, whatever they were
    tap.note(f"{name}: {agreed:.0f} of {judged:.0f} stacks agree, {sums['audits_frames']:.0f} frames; "
             + ", ".join(f"{key[7:]} {value:.0f}" for key, value in sorted(sums.items()) if value))
    tap.ok(judged >= LEAST and agreed >= AGREEMENT * judged, f"{name}: libunwind agrees in 99.9 % of the stacks")
    tap.ok(unjudged <= 0.01 * (judged + unjudged), f"{name}: 99 % of the stacks could be judged")


def judge_default(tap, directory):
    """Audits come by themselves, and can be turned off."""
    program = build(directory)
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


def main():
    profiled.need()
    tap = Tap()
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # when a program has ended, only what everybody may read is opened
        for name, argv, rate in programs(directory):
            if argv:
                judge(tap, name, argv, rate)
            else:
                tap.skip(f"{name}: libunwind agrees in 99.9 % of the stacks", "it is not installed")
        judge_default(tap, directory)
    tap.done()


if __name__ == "__main__":
    main()
