"""The suites that real_suites.py runs: their parts, how one is run, and how the result of each test is read.

A suite has a name, parts(), and run(..., env, directory), which gives ({test: result}, output); END is there the name
of how the part's process ended. A part that does not end is ended, with all that it started, at its deadline.
"""
import collections
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import xml.etree.ElementTree

import suite_sources

END = "(how it ended)"
NAMELESS = "(without a name)"  # what a report of CPython's has for a test some of whose parts failed

# No test of these needs the network.
PYTHON_MODULES = """test_fork1 test_os test_signal test_subprocess test_threading test_thread test_thread_local_bytes
    test_threading_local test_multiprocessing_fork test_multiprocessing_spawn test_multiprocessing_forkserver
    test_concurrent_futures test_posix test_pty test_mmap test_fcntl test_select test_selectors test_wait3 test_wait4
    test_atexit test_faulthandler test_ctypes test_json test_re test_bytes test_gc test_weakref test_array test_dict
    test_list test_set test_unicode test_decimal test_io test_memoryio test_pickle test_zlib test_bz2 test_lzma
    test_hashlib test_struct test_sqlite3 test_xml_etree_c test_capi test_embed test_cmd_line test_sys test_resource
    test_tempfile test_shutil test_generators test_coroutines test_exceptions test_locale test_importlib
    test_asyncio test_tracemalloc test_interpreters test__xxsubinterpreters test_frame test_sys_settrace""".split()
# Waits for threads of an isolated interpreter, which must find the suite where it is installed.
PYTHON_INSTALLED_ONLY = ["test_4_daemon_threads"]
# Doubles its recursion until it is interrupted, which some releases do not notice for a quarter of an hour, bare as well.
PYTHON_ENDLESS = ["-i", "test_print_exception_gh_102056"]

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

# What threads, packs, pipes, forks and signals are in, of git's thousand scripts; none needs a server.
GIT_SCRIPTS = """t0000-basic t0005-signals t0009-prio-queue t0011-hashmap t0021-conversion t0040-parse-options
    t0052-simple-ipc t0060-path-utils t0061-run-command t0090-cache-tree t0095-bloom t0210-trace2-normal
    t0301-credential-cache t0410-partial-clone t1006-cat-file t1050-large t1060-object-corruption
    t1091-sparse-checkout-builtin t1300-config t1400-update-ref t1450-fsck t1600-index t1700-split-index t1800-hook
    t2080-parallel-checkout-basics t2081-parallel-checkout-collisions t2082-parallel-checkout-attributes
    t2400-worktree-add t3008-ls-files-lazy-init-name-hash t3200-branch t3206-range-diff t3301-notes t3400-rebase
    t3404-rebase-interactive t3421-rebase-topology-linear t3430-rebase-merges t3501-revert-cherry-pick
    t3510-cherry-pick-sequence t3600-rm t3700-add t3701-add-interactive t3903-stash t4001-diff-rename
    t4013-diff-various t4014-format-patch t4150-am t4202-log t4205-log-pretty-formats t4211-line-log t4216-log-bloom
    t4301-merge-tree-write-tree t5000-tar-tree t5300-pack-object t5301-sliding-window t5302-pack-index
    t5303-pack-corruption-resilience t5304-prune t5308-pack-detect-duplicates t5309-pack-delta-cycles
    t5310-pack-bitmaps t5317-pack-objects-filter-objects t5318-commit-graph t5319-multi-pack-index t5325-reverse-index
    t5329-pack-objects-cruft t5351-unpack-large-objects t5400-send-pack t5500-fetch-pack t5503-tagfollow t5505-remote
    t5510-fetch t5514-fetch-multiple t5516-fetch-push t5520-pull t5526-fetch-submodules t5537-fetch-shallow
    t5601-clone t5605-clone-local t5607-clone-bundle t5616-partial-clone t5700-protocol-v1 t5702-protocol-v2
    t5801-remote-helpers t6020-bundle-misc t6030-bisect-porcelain t6112-rev-list-filters-objects t6402-merge-rename
    t6416-recursive-corner-cases t6422-merge-rename-corner-cases t6423-merge-rename-directories
    t6429-merge-sequence-rename-caching t6500-gc t6600-test-reach t7004-tag t7006-pager t7063-status-untracked-cache
    t7102-reset t7400-submodule-basic t7406-submodule-update t7501-commit-basic-functionality t7508-status
    t7516-commit-races t7600-merge t7602-merge-octopus-many t7700-repack t7703-repack-geometric t7810-grep
    t7814-grep-recurse-submodules t7900-maintenance t8002-blame t8013-blame-ignore-revs t9210-scalar
    t9300-fast-import t9350-fast-export t9700-perl-git t9902-completion t9903-bash-prompt""".split()

# Pieces of sqlite's veryquick suite, by the first letters of its files' names.
SQLITE_LETTERS = "a-b c d-e f g-i j-l m-o p-r s t u-v w x-z".split()

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


def as_user(name, directory):
    """Options of execute() where root must not run a suite: as this user, whose the folder becomes."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(directory, name)
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


class Python:
    """A CPython: a process for each module of its tests, with the allocator named."""
    program, left_out = suite_sources.PYTHON, []

    def __init__(self, home, allocator):
        self.name = f"cpython, {allocator}" if allocator else "cpython"
        self.home, self.allocator = home, allocator
        self.env = {"PYTHONPATH": home}
        if not suite_sources.python_is_installed():
            self.left_out = [word for name in PYTHON_INSTALLED_ONLY for word in ("-i", name)]

    def parts(self):
        for module in PYTHON_MODULES:
            if os.path.exists(os.path.join(self.home, "test", module)) or \
                    os.path.exists(os.path.join(self.home, "test", module + ".py")):
                yield Part(self, module, lambda env, directory, module=module: self.run(module, env, directory))

    def run(self, module, env, directory):
        report = os.path.join(directory, "report.xml")
        env = dict(env, **self.env, PYTHONDONTWRITEBYTECODE="1")
        if self.allocator:
            env["PYTHONMALLOC"] = self.allocator
        output, end = execute([self.program, "-m", "test", "--timeout", "900", "--junit-xml", report, *self.left_out, module],
                              env, directory, 960)
        results = numbered(self.read(report)) if os.path.exists(report) else {}
        if not results and b"Timeout (0:" in output:
            end = "hang"
        return dict(results, **{END: end}), output

    @staticmethod
    def read(report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
            yield case.get("name") or NAMELESS, kinds[0] if kinds else "passed"


class OtherPython(Python):
    """One that has its tests where it is installed."""
    left_out = PYTHON_ENDLESS

    def __init__(self, program, version, home):
        self.name, self.program, self.home, self.allocator, self.env = f"cpython {version}", program, home, "", {}


class Greenlet:
    """Debian's greenlet for its CPython, with the tests that come with it: one part."""
    name = "greenlet"

    def parts(self):
        yield Part(self, "greenlet.tests", self.run)

    def run(self, env, directory):
        output, end = execute([suite_sources.PYTHON, "-m", "unittest", "discover", "-v", "-s", suite_sources.GREENLET_TESTS,
                               "-t", os.path.dirname(os.path.dirname(suite_sources.GREENLET_TESTS))],
                              dict(env, PYTHONDONTWRITEBYTECODE="1"), directory, 600)
        found = re.findall(r"^(\w+ \([\w.]+\))(?:\n.*?)?? \.\.\. (ok|FAIL|ERROR|skipped)", output.decode(errors="replace"), re.M)
        return dict(numbered(found), **{END: end}), output


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
        output, end = execute(["tclsh", "tests/test_helper.tcl", "--clients", "1", "--timeout", "600", "--single", unit],
                              env, place, 900)
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
        output, end = execute([suite_sources.PG_REGRESS, "--bindir", suite_sources.PG_BIN, "--inputdir", source,
                               "--dlpath", self.home, "--outputdir", directory, "--temp-instance", os.path.join(directory, "instance"),
                               "--no-locale", "--encoding", "UTF8", "--max-concurrent-tests", "20",
                               "--schedule", os.path.join(source, "parallel_schedule")], env, directory, 900,
                              **as_user("postgres", directory))
        found = re.findall(r"^(?:test )?\s*(\S+)\s+\.\.\. (ok|FAILED|failed \(ignored\))", output.decode(errors="replace"), re.M)
        return dict(numbered(found), **{END: end}), output


class Git:
    """Debian's git under the scripts of its source: each test by its number and what it says."""
    name = "git"
    RESULT = re.compile(r"^(ok|not ok) (\d+) (?:- )?(.*?)(?: # (TODO known breakage(?: vanished)?))?$", re.M)

    def __init__(self, home):
        self.home = home

    def parts(self):
        for script in GIT_SCRIPTS:
            if os.path.exists(os.path.join(self.home, "t", script + ".sh")):
                yield Part(self, script, lambda env, directory, script=script: self.run(script, env, directory))

    def run(self, script, env, directory):
        # With the check of malloc it would replace what is preloaded.
        env = dict(env, GIT_TEST_INSTALLED=os.path.dirname(suite_sources.GIT), TEST_NO_MALLOC_CHECK="1", TEST_OUTPUT_DIRECTORY=directory)
        output, end = execute(["sh", f"./{script}.sh", f"--root={directory}", "--no-color"], env, os.path.join(self.home, "t"), 900)
        # Some of its tests have their folder in their name.
        text = output.decode(errors="backslashreplace").replace(directory, "")
        return dict(self.read(text), **{END: end}), output

    @classmethod
    def read(cls, text):
        for word, number, title, known in cls.RESULT.findall(text):
            skipped = title.startswith("# skip ")
            yield f"{number} {title.removeprefix('# skip ')}", "skipped" if skipped else " ".join(filter(None, (word, known)))


class Sqlite:
    """The sqlite of Debian's source under its own tests, in the Tcl interpreter that is built for them."""
    name = "sqlite"
    # name... Ok, with the dots in front that the test has printed; ! name expected: something else than it got.
    RESULT = re.compile(r"^\.*([^\s.].*?)\.\.\. (Ok|Omitted)$|^! (.*?) expected:", re.M)

    def __init__(self, home):
        self.home = home

    def parts(self):
        for letters in SQLITE_LETTERS:
            omitted = {"QUICKTEST_OMIT": f"^[^{letters}]"}
            yield Part(self, f"veryquick {letters}", lambda env, directory, omitted=omitted:
                       self.run(["veryquick.test"], dict(env, **omitted), directory))
        for name, pattern in ("threads", "thread00%.test"), ("threads of wal", "walthread.test"):
            yield Part(self, name, lambda env, directory, pattern=pattern:
                       self.run(["permutations.test", "veryquick", pattern], env, directory))

    def run(self, argv, env, directory):
        source = os.path.join(self.home, "source", "test")
        # It ends early when root runs it.
        output, end = execute([os.path.join(self.home, "testfixture"), os.path.join(source, argv[0]), *argv[1:]],
                              dict(env, HOME=directory), directory, 900, **as_user("nobody", directory))
        found = self.RESULT.findall(output.decode(errors="backslashreplace"))
        return dict(numbered((name or failed, word.lower() or "failed") for name, word, failed in found), **{END: end}), output


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
