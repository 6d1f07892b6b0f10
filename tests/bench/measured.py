"""What the benchmarks share: configurations, counting by callgrind, CPU time, and the programs that are measured.

A configuration is a name and what it adds to the environment; a peer that is not installed is None, and whoever
asked for it says so.
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import profiled  # noqa: E402

HERE = os.path.join(profiled.SRC, "tests", "bench")
BUILT = os.path.join(profiled.BUILD, "tests", "bench")
FORWARDER = os.path.join(BUILT, ".libs", "libempty-forwarder.so")
HOT_LOOP = os.path.join(BUILT, "hot_loop")
SAMPLE_COST = os.path.join(BUILT, "sample_cost")
LARGE_HEAP = os.path.join(BUILT, "large_heap")
STL_CHURN = os.path.join(BUILT, "stl_churn")
NO_SAMPLE = "1024G"
# What most processors have as first level, and a last one as small as their second, so that what falls out shows.
CACHES = ["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64"]
LOADERS = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
FOLDERS = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]


def library(*names):
    return next((path for folder in FOLDERS for name in names if os.path.exists(path := os.path.join(folder, name))), None)


JEMALLOC = library("libjemalloc.so.2")
TCMALLOC = library("libtcmalloc.so.4")
HEAPTRACK = library("heaptrack/libheaptrack_preload.so")


def need(*programs):
    """Skips everything, visibly, where ours is not built or a program is missing."""
    profiled.need(*programs)
    for path in (FORWARDER, HOT_LOOP):
        if not os.path.exists(path):
            profiled.skip_all(f"{os.path.basename(path)} is not built here")


def forwarder_env(**more):
    return dict(os.environ, LD_PRELOAD=FORWARDER, **more)


def jemalloc_env(log2_interval=None, **more):
    """Without an interval its profiler is off."""
    conf = {"MALLOC_CONF": f"prof:true,prof_active:true,lg_prof_sample:{log2_interval}"} if log2_interval else {}
    return dict(os.environ, LD_PRELOAD=JEMALLOC, **conf, **more)


def tcmalloc_env(interval=None, **more):
    conf = {"TCMALLOC_SAMPLE_PARAMETER": str(interval)} if interval else {}
    return dict(os.environ, LD_PRELOAD=TCMALLOC, **conf, **more)


def heaptrack_env(**more):
    """The recorder inside the program alone: what it writes goes nowhere."""
    return dict(os.environ, LD_PRELOAD=HEAPTRACK, DUMP_HEAPTRACK_OUTPUT="/dev/null", **more)


CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


def counted(text):
    """The events in what callgrind says at a program's end, or None."""
    events = re.search(r"Events\s*: (.*)", text)
    numbers = re.search(r"Collected\s*: (.*)", text)
    return dict(zip(events[1].split(), map(int, numbers[1].split()))) if events and numbers else None


def count(env, argv, *options):
    """What callgrind counts while `argv` runs, by event: "Ir" instructions, and more with CACHES."""
    done = subprocess.run([*CALLGRIND, *options, *argv], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    events = counted(done.stderr)
    if done.returncode != 0 or not events:
        raise RuntimeError(f"{' '.join(argv)} under callgrind: exit code {done.returncode}: {done.stderr[-2000:]}")
    return events


def preloaded_by_loader(env, argv):
    """(environment, command) with LD_PRELOAD handed to the loader of the program itself: heaptrack takes itself out of
    the environment of the first program that it is in, which would be valgrind."""
    env = dict(env)
    library = env.pop("LD_PRELOAD", None)
    if library is None:
        return env, argv
    loader = next(path for path in LOADERS if os.path.exists(path))
    return env, [loader, "--preload", library, shutil.which(argv[0]), *argv[1:]]


def per_operation(env, words, few, many, *options):
    """The events of one operation of the hot loop: `words` with OPERATIONS where it takes their number."""
    first, second = (count(env, [HOT_LOOP, *(str(n) if word == "OPERATIONS" else word for word in words)], *options)
                     for n in (few, many))
    return {event: (second[event] - first[event]) / (many - few) for event in first}


def run(env, argv, **options):
    """(CPU seconds, wait4's usage) of a program that must succeed."""
    process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} failed")
    return usage.ru_utime + usage.ru_stime, usage


def said(env, argv):
    """The figures that one of our programs prints, by name: "12 apples 3 pears"."""
    words = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           check=True).stdout.split()
    return dict(zip(words[1::2], map(int, words[0::2])))


def cpu_of(pid):
    """CPU seconds of a process that runs."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def print_losses(profiler):
    """What the daemon's programs lost: a sample that is dropped is a cheap one."""
    lost = {}
    for process in json.loads(profiler.ctl("list", "--all", "--json").stdout)["processes"]:
        for name, value in profiler.stats(process["pid"])["counters"].items():
            if name.startswith("lost_") and not name.endswith("_bytes") and value:
                lost[name] = lost.get(name, 0) + value
    note("lost: " + (", ".join(f"{name[5:]} {value}" for name, value in lost.items()) or "nothing"))


def turns(configurations, rounds):
    """Each configuration once a round, beginning with another one each time."""
    configurations = list(configurations)
    for first in range(rounds):
        first %= len(configurations)
        yield from configurations[first:] + configurations[:first]


def quartiles(values):
    return statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3


def spread(values):
    """The distance of the quartiles."""
    low, _, high = quartiles(values)
    return high - low


def print_table(title, head, rows):
    print(f"\n### {title}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def note(text):
    print(f"\n# {text}", flush=True)


# The programs. `size` scales the work of each: 1 is some tenths of a second.

PYTHON = """
import json, sys
keep = []
for i in range(int(sys.argv[1])):
    tree = {str(k): [k, str(k) * 3, {"a": k}] for k in range(10000)}
    keep.append(json.loads(json.dumps(tree)))
    keep = keep[-3:]
"""
SQL = """PRAGMA temp_store = MEMORY;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INT, name TEXT, price REAL);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    INSERT INTO item SELECT i, i * 7919 % 997, 'item ' || i || ' ' || hex(i * 31), i * 0.25 FROM n;
CREATE INDEX item_kind ON item (kind);
CREATE INDEX item_name ON item (name);
SELECT kind, count(*), max(name), sum(price) FROM item GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 5;
UPDATE item SET name = name || ' again', price = price + 1 WHERE kind % 3 = 0;
DELETE FROM item WHERE kind % 5 = 0;
SELECT count(DISTINCT substr(name, 1, 8)), sum(length(printf('%d %s', kind, upper(name)))) FROM item;
SELECT sum(json_extract('{{"x":' || kind || ',"y":["' || name || '"]}}', '$.x')) FROM item;
"""


def under_frames(frames, definitions, statement):
    """A program of Python that runs `statement`, which calls a function that `definitions` have, so that this one runs under
    as many frames as are asked for, each of a function of its own."""
    levels = "".join(f"def level_{i + 1}():\n    return level_{i}() + 0\n" for i in range(frames - 3))
    return f"{definitions}\ndef level_0():\n    {statement}\n    return 0\n{levels}level_{frames - 3}()\n"


def python_program(size):
    """Python with each of its objects a block of its own."""
    return (["/usr/bin/python3", "-S", "-c", PYTHON, str(size)],
            {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
             "PYTHONSAFEPATH": "1"})


def sqlite_program(size):
    return ["sqlite3", ":memory:", SQL.format(rows=12500 * size)], {}


def stl_program(size):
    return [STL_CHURN, str(size)], {}


def c_source(functions):
    """A translation unit that gives a compiler something to do, and needs no header."""
    yield "int printf(const char *, ...);\ndouble sqrt(double);\nstruct s { int a[16]; double d; struct s *next; };\n"
    for i in range(functions):
        yield f"""int f{i}(struct s *p, int n)
{{
	int sum = {i};
	for (int k = 0; k < n; k++) {{
		switch ((sum ^ k) % 5) {{
		case 0: sum += p->a[k & 15] * {i % 13 + 1}; break;
		case 1: p->d = sqrt(p->d * p->d + sum); break;
		case 2: if (p->next) sum += {f"f{i - 1}(p->next, n / 2)" if i else "1"}; break;
		case 3: printf("%d\\n", sum << {i % 5}); break;
		default: sum = sum * 31 + p->a[(k + {i}) & 15];
		}}
		p->a[k * {i % 7 + 1} & 15] = sum;
	}}
	return sum;
}}
"""


def cc1_program(directory, functions):
    """The compiler proper, without its driver."""
    found = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout.strip()
    path = os.path.join(directory, "work.c")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(c_source(functions))
    return [found, "-quiet", "-O2", path, "-o", "/dev/null"], {}
