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
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
import suite_sources  # noqa: E402
from tap import Tap  # noqa: E402

END = "(how it ended)"
AGAIN = 2

# No test of these needs the network.
PYTHON_MODULES = """test_fork1 test_os test_signal test_subprocess test_threading test_thread test_thread_local_bytes
    test_threading_local test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
    test_concurrent_futures test_posix test_pty test_mmap test_fcntl test_select test_selectors test_wait3 test_wait4
    test_atexit test_faulthandler test_ctypes test_json test_re test_bytes test_gc test_weakref test_array test_dict
    test_list test_set test_unicode test_decimal test_io test_memoryio test_pickle test_zlib test_bz2 test_lzma
    test_hashlib test_struct test_sqlite3 test_xml_etree_c test_capi test_embed test_cmd_line test_sys test_resource
    test_tempfile test_shutil test_generators test_coroutines test_exceptions test_locale test_importlib""".split()
# Waits for threads of an isolated interpreter, which must find the suite where it is installed.
PYTHON_INSTALLED_ONLY = ["test_4_daemon_threads"]

REDIS_UNITS = """unit/dump unit/auth unit/protocol unit/keyspace unit/scan unit/info unit/info-command
    unit/type/string unit/type/incr unit/type/list unit/type/list-2 unit/type/list-3 unit/type/set unit/type/zset
    unit/type/hash unit/type/stream unit/type/stream-cgroups unit/sort unit/expire unit/other unit/multi unit/quit
    unit/aofrw unit/acl unit/acl-v2 unit/latency-monitor integration/block-repl integration/replication
    integration/replication-3 integration/replication-buffer integration/shutdown integration/aof
    integration/aof-multi-part integration/rdb integration/corrupt-dump integration/psync2-reg integration/redis-cli
    integration/redis-benchmark integration/dismiss-mem integration/logging unit/pubsub unit/pubsubshard unit/slowlog
    unit/scripting unit/functions unit/maxmemory unit/introspection unit/introspection-2 unit/limits unit/obuf-limits
    unit/bitops unit/bitfield unit/geo unit/memefficiency unit/hyperloglog unit/lazyfree unit/wait unit/pause
    unit/querybuf unit/pendingquerybuf unit/tracking unit/oom-score-adj unit/shutdown unit/networking unit/cluster
    unit/client-eviction unit/violations unit/replybufsize unit/cluster-scripting unit/cluster/misc
    unit/cluster/links""".split()

# What differs by design, and why. Only an ordinary failure is excused by it.
BY_DESIGN = {
    "test.test_subprocess.POSIXProcessTestCase.test_pass_fds_redirected":
        "compares all descriptors that a child has open; the agent has one",
}

Part = collections.namedtuple("Part", "suite name run")


def numbered(pairs):
    """{name: result}; the second test of a name is "name #2"."""
    seen, results = collections.Counter(), {}
    for name, result in pairs:
        seen[name] += 1
        results[name if seen[name] == 1 else f"{name} #{seen[name]}"] = result
    return results


def end_group(process):
    """What it left behind as well; of itself nothing is left but its status."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def execute(argv, env, directory, deadline, **options):
    """(output, how it ended): its process group is ended with it, or at the deadline."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, env=env, cwd=directory, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=subprocess.STDOUT, start_new_session=True, **options)
        try:
            status = process.wait(timeout=deadline)
            end = f"signal {-status}" if status < 0 else f"status {status}"
        except subprocess.TimeoutExpired:
            end = "hang"
        finally:
            end_group(process)
        output.seek(0)
        return output.read(), end


class Python:
    """Debian's CPython: a process for each module of its tests, with the allocator named."""

    def __init__(self, home, allocator):
        self.name = f"cpython, {allocator}" if allocator else "cpython"
        self.home, self.allocator = home, allocator

    def parts(self):
        for module in PYTHON_MODULES:
            if os.path.exists(os.path.join(self.home, "test", module)) or \
                    os.path.exists(os.path.join(self.home, "test", module + ".py")):
                yield Part(self, module, lambda env, directory, module=module: self.run(module, env, directory))

    def run(self, module, env, directory):
        report = os.path.join(directory, "report.xml")
        left_out = [] if suite_sources.python_is_installed() else [word for name in PYTHON_INSTALLED_ONLY for word in ("-i", name)]
        env = dict(env, PYTHONPATH=self.home, PYTHONDONTWRITEBYTECODE="1")
        if self.allocator:
            env["PYTHONMALLOC"] = self.allocator
        output, end = execute([suite_sources.PYTHON, "-m", "test", "--timeout", "240", "--junit-xml", report, *left_out, module],
                              env, directory, 300)
        results = numbered(self.read(report)) if os.path.exists(report) else {}
        if not results and b"Timeout (0:" in output:
            end = "hang"
        return dict(results, **{END: end}), output

    @staticmethod
    def read(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            yield case.get("name"), kinds[0] if kinds else "passed"


class Redis:
    """Debian's redis-server under the tests of its source; the agent is in the servers and in tclsh."""
    name = "redis"
    # [ok]: a name (12 ms), [err]: a name in a file; with colours.
    RESULT = re.compile(r"^\[(ok|err|exception|skip|ignore|timeout)\]: (.*?)(?: \(\d+ ms\)| in tests/\S+)?$")

    def __init__(self, home):
        self.home = home

    def parts(self):
        for unit in REDIS_UNITS:
            yield Part(self, unit, lambda env, directory, unit=unit: self.run(unit, env, directory))

    def run(self, unit, env, directory):
        place = os.path.join(directory, "redis")
        shutil.copytree(self.home, place, symlinks=True, dirs_exist_ok=True)
        output, end = execute(["tclsh", "tests/test_helper.tcl", "--clients", "1", "--timeout", "240", "--single", unit],
                              env, place, 300)
        text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode(errors="replace"))
        found = (self.RESULT.match(line) for line in text.splitlines())
        results = numbered((match[2], match[1]) for match in found if match)
        return dict(results, **{END: end}), output


class Postgres:
    """Debian's PostgreSQL under the regression tests of its source: one part, a server of its own."""
    name = "postgresql"

    def __init__(self, home):
        self.home = home

    def parts(self):
        yield Part(self, "parallel_schedule", self.run)

    def run(self, env, directory):
        source = os.path.join(self.home, "src", "test", "regress")
        options = {}
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres")
            options = {"user": "postgres", "group": "postgres", "extra_groups": []}
        output, end = execute([suite_sources.PG_REGRESS, "--bindir", suite_sources.PG_BIN, "--inputdir", source,
                               "--dlpath", self.home, "--outputdir", directory, "--temp-instance", os.path.join(directory, "instance"),
                               "--no-locale", "--encoding", "UTF8", "--max-concurrent-tests", "20",
                               "--schedule", os.path.join(source, "parallel_schedule")], env, directory, 900, **options)
        found = re.findall(r"^(?:test )?\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", output.decode(errors="replace"), re.M)
        return dict(numbered(found), **{END: end}), output


class Outputs:
    """Programs that are no suites: what they print and write is the same, byte for byte."""
    name = "outputs"
    COMMANDS = {
        "perl": "perl -e 'my %h; $h{$_ % 997} .= \"x\" x ($_ % 50) for 1..200000; print join(\",\", map { length $h{$_} } sort keys %h)'",
        "perl forks": "perl -e '$| = 1; for (1..50) { my $p = fork; if (!$p) { print \"$_\\n\"; exit } waitpid $p, 0 }'",
        "bash": "for i in $(seq 3000); do a[i]=$((i * i)); s+=${a[i]}; done; echo ${#s}; echo \"${a[@]}\" | tr ' ' '\\n' | sort -n | md5sum",
        "bash pipes": "for i in $(seq 60); do (echo $i | cat | grep . &) ; wait; done | sort -n; ulimit -n",
        "g++ -O2": "printf '#include <map>\\n#include <string>\\n#include <regex>\\n#include <iostream>\\nint main(){std::map<std::string,int>m;"
                   "std::regex r(\"a+b\");m[\"x\"]=std::regex_match(\"aab\",r);std::cout<<m[\"x\"];}\\n' >a.cc; "
                   "g++ -O2 -c a.cc -o a.o && md5sum a.o && g++ a.o -o a && ./a",
        "gcc -flto": "printf 'int f(int);int main(void){return f(1)-2;}' >m.c; printf 'int f(int x){return x+1;}' >f.c; "
                     "gcc -O2 -flto=2 m.c f.c -o m && ./m; echo $?",
        "node": "node -e 'const z=require(\"zlib\");let b=Buffer.from(\"spprof\".repeat(1e5));"
                "for(let i=0;i<50;i++)z.gunzipSync(z.gzipSync(b));console.log(JSON.stringify([...Array(1e5).keys()]).length)'",
        "node workers": "node -e 'const{Worker}=require(\"worker_threads\");for(let i=0;i<8;i++)new Worker(\"process.exit(0)\",{eval:true});'; echo $?",
        "sqlite3": "sqlite3 :memory: 'create table t(a,b); with recursive n(i) as (select 1 union all select i+1 from n where i<100000) "
                   "insert into t select i, hex(i*i) from n; create index x on t(b); select count(*), sum(length(b)) from t; "
                   "select * from t order by b limit 5; pragma integrity_check'",
        "git": "git init -q r && cd r && for i in $(seq 200); do seq $i 2000 >$i; done && git add . && "
               "GIT_AUTHOR_DATE='1 +0000' GIT_COMMITTER_DATE='1 +0000' git -c user.name=a -c user.email=a@b commit -qm x && "
               "git rev-parse HEAD && git gc -q && git fsck --full && git log --stat | md5sum",
        "xz threads": "seq 2000000 | xz -T4 --block-size=1MiB | md5sum",
        "tar and sort": "seq 300000 | sort -R --random-source=/bin/ls --parallel=2 | sort -n | md5sum; tar c -C /usr/share/perl . | tar t | wc -l",
    }

    def parts(self):
        for name, command in self.COMMANDS.items():
            if shutil.which(name.split()[0]):
                yield Part(self, name, lambda env, directory, command=command: self.run(command, env, directory))

    @staticmethod
    def run(command, env, directory):
        output, end = execute(["bash", "-c", command], env, directory, 240)
        return {"what it prints": output.decode(errors="backslashreplace"), END: end}, output


def suites(place, tap):
    """Those that can be had; the others are skipped by name."""
    for name, prepare, make in (
            ("cpython", suite_sources.prepare_python, lambda home: [Python(home, ""), Python(home, "malloc")]),
            ("redis", suite_sources.prepare_redis, lambda home: [Redis(home)]),
            ("postgresql", suite_sources.prepare_postgres, lambda home: [Postgres(home)])):
        try:
            yield from make(prepare(place))
        except suite_sources.Unavailable as reason:
            tap.skip(f"{name}: its tests end as without the agent", reason)
    yield Outputs()


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
    if name in BY_DESIGN or (name == END and excused and all(other == END or other in BY_DESIGN for other in kept["different"])):
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
        plain = suite == Outputs.name
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
