"""The suites that real_suites.py runs: their parts, how one is run, and how the result of each test is read.

A suite has a name, parts(), and run(..., env, directory), which gives ({test: result}, output); END is there the name
of how the part's process ended. A part that does not end is ended, with all that it started, at its deadline.
"""
import collections
import os
import re
import shutil
import signal
import subprocess
import tempfile
import xml.etree.ElementTree

import suite_sources

END = "(how it ended)"

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
