#!/usr/bin/env python3
"""The agent does its host no harm (TAP): programs that are run bare and under the agent, sampling nearly all.

Programs that print TAP must pass both ways, and say themselves that they were sampled. The others must print and
end the same both ways, and say on stderr how many samples there were. SPPROF_LONG=1 adds more allocators and threads.
"""
import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

LONG = bool(os.environ.get("SPPROF_LONG"))
PROGRAMS = os.path.join(profiled.BUILD, "tests", "programs")
MODULES = os.path.join(PROGRAMS, ".libs")
BUMP = os.path.join(MODULES, "libbump-allocator.so")
PLUGINS = [os.path.join(MODULES, f"libplugin-{size}.so") for size in ("small", "large")]
TIMEOUT = 300


def program(name):
    return os.path.join(PROGRAMS, name)


def environment(preload=(), agent=True, **more):
    env = {key: value for key, value in os.environ.items() if not key.startswith("SPPROF_")}
    if agent:
        env.update(SPPROF_RATE="1", SPPROF_CEILING="0", SPPROF_SOCKET="/nonexistent")
        preload = [profiled.AGENT, *preload]
    return dict(env, LD_PRELOAD=" ".join(preload), **more)


def run(argv, preload=(), agent=True, more=None, **options):
    return subprocess.run(argv, env=environment(preload, agent, **(more or {})), stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=TIMEOUT, check=False, **options)


def passes(result):
    lines = result.stdout.splitlines()
    return result.returncode == 0 and any(line.startswith("1..") for line in lines) and \
        not any(line.startswith("not ok") for line in lines)


def told(result):
    return [f"status {result.returncode}"] + \
        [line for line in (result.stdout + result.stderr).splitlines() if not line.startswith("ok")]


def check_tap(tap, name, *argv, preload=()):
    """A program that prints TAP. What fails without the agent as well is not the agent's."""
    result = run([program(argv[0]), *argv[1:]], preload)
    if passes(result):
        return tap.ok(True, name)
    bare = run([program(argv[0]), *argv[1:]], preload, agent=False)
    if not passes(bare) and preload and preload[0] != BUMP:
        return tap.skip(name, "it fails without the agent as well")
    return tap.ok(False, name, told(result))


def samples(result):
    found = re.search(r"^(\d+) samples$", result.stderr, re.M)
    return int(found[1]) if found else 0


def check_same(tap, name, *argv, sampled=True, before=None, **more):
    """A program that confines itself, or that `before` confines: prints and ends the same as bare."""
    results = [run([program(argv[0]), *argv[1:]], agent=agent, preexec_fn=before, more=more) for agent in (False, True)]
    bare, under = results
    same = (bare.returncode, bare.stdout) == (under.returncode, under.stdout)
    if same and bare.returncode not in (3, 4):
        return tap.skip(name, f"it ends with {bare.returncode} without the agent")
    if same and bare.returncode == 4:
        return tap.skip(name, bare.stdout.splitlines()[0])
    return tap.ok(same and (not sampled or samples(under) > 10000), name, told(bare) + told(under))


def library(pattern):
    found = sorted(path for folder in ("/usr/lib", "/lib")
                   for path in glob.glob(os.path.join(folder, os.uname().machine + "*", pattern)))
    return found[0] if found else None


def check_allocators(tap):
    check_tap(tap, "what is sampled is live exactly as long as it is used", "tracked_exactly")
    check_tap(tap, "blocks that the agent serves while it sets up", "bootstrap_blocks")
    allocators = [("jemalloc", "libjemalloc.so.2")]
    others = [("tcmalloc", "libtcmalloc.so.4"), ("mimalloc", "libmimalloc.so.2*")]
    for allocator, pattern in allocators + (others if LONG else []):
        path = library(pattern)
        for name, argv in (("tracked exactly", ["tracked_exactly"]), ("plugins", ["plugin_host", *PLUGINS])):
            text = f"{allocator} preloaded behind the agent: {name}"
            if path:
                check_tap(tap, text, *argv, preload=[path])
            else:
                tap.skip(text, f"{allocator} is not installed")
        text, linked = f"{allocator} linked into the program", f"tracked_exactly_{allocator}"
        if os.path.exists(program(linked)):
            check_tap(tap, text, linked)
        else:
            tap.skip(text, f"{allocator} was not there to link with")
    if not LONG:
        tap.skip("tcmalloc and mimalloc", "SPPROF_LONG is not set")


def check_threads(tap):
    check_tap(tap, "threads", "many_threads", *(["100000"] if LONG else []))
    check_tap(tap, "small stacks", "small_stacks")
    check_tap(tap, "C++ libraries that a C program loads privately", "plugin_host", *PLUGINS)
    for mode in ("jump", "cancel", "coroutine"):
        check_tap(tap, f"hooks that are left in the middle: {mode}", "left_hooks", mode, preload=[BUMP])


def core_size(agent):
    with tempfile.TemporaryDirectory(prefix="spprof-test-") as place:
        run([program("unseen"), "core"], agent=agent, cwd=place)
        cores = glob.glob(os.path.join(place, "core*"))
        return os.path.getsize(cores[0]) if cores else 0


def check_core(tap):
    name = "a core dump has none of the agent's reservations and rings"
    with open("/proc/sys/kernel/core_pattern", encoding="utf-8") as file:
        pattern = file.read().strip()
    bare = core_size(False) if re.fullmatch(r"core[.%a-z]*", pattern) else 0
    if not bare:
        return tap.skip(name, f"core dumps go elsewhere or nowhere (core_pattern: {pattern})")
    under = core_size(True)
    tap.note(f"a core dump has {bare} bytes, under the agent {under}")
    return tap.ok(0 < under - bare < 2 << 20, name)


def limits(what, value):
    def set_limit():
        resource.setrlimit(what, (value, value))
    return set_limit


def check_confined(tap):
    """Limits that the program sets itself find the agent at work; those from before may keep it from working."""
    for how, argument, text in (
            ("none", "", "no confinement"), ("fsize", "0", "files may not grow"), ("fsize", "4096", "files stay small"),
            ("nofile", "3", "no descriptor may be opened"), ("nofile", "20", "few descriptors may be"),
            ("as", "200000000", "little address space"), ("data", "100000000", "little data"),
            ("memlock", "8000000", "memory that comes is locked, as far as a small limit goes"),
            ("lockall", "", "all memory that comes is locked"), ("nobody", "", "the program becomes nobody"),
            ("filter", "", "a filter kills for socket, connect and memfd_create")):
        check_same(tap, "after load, " + text, "confined", how, argument)
    check_same(tap, "after load, a filter kills for openat and getpid as well, children are left alone", "confined",
               "filter", "tight", SPPROF_CHILDREN="0")
    with tempfile.TemporaryDirectory(prefix="spprof-test-") as place:
        check_same(tap, "after load, another root directory", "confined", "chroot", place)
    for what, value, text in (
            (resource.RLIMIT_FSIZE, 0, "files may not grow"), (resource.RLIMIT_FSIZE, 65536, "files stay small"),
            (resource.RLIMIT_NOFILE, 8, "few descriptors may be opened"),
            (resource.RLIMIT_AS, 40 << 20, "little address space"), (resource.RLIMIT_DATA, 4 << 20, "little data"),
            (resource.RLIMIT_MEMLOCK, 0, "no memory may be locked")):
        check_same(tap, "before load, " + text, "confined", "none", sampled=False, before=limits(what, value))


def check_without_proc(tap):
    name = "no /proc is mounted"
    script = f"umount -l /proc && exec env LD_PRELOAD={profiled.AGENT} {program('confined')} none"
    if os.geteuid() != 0 or run(["unshare", "-m", "sh", "-c", "umount -l /proc"], agent=False).returncode != 0:
        return tap.skip(name, "this takes a mount namespace of one's own")
    bare = run([program("confined"), "none"], agent=False)
    env = dict(environment(), LD_PRELOAD="")
    under = subprocess.run(["unshare", "-m", "sh", "-c", script], env=env, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return tap.ok((bare.returncode, bare.stdout) == (under.returncode, under.stdout), name, told(bare) + told(under))


def check_daemon_restart(tap):
    """A worker under a filter that kills, while its daemon ends and another comes."""
    name = "a daemon's restart kills no worker whose filter would kill for connect"
    argv = [program("confined"), "filter"]
    with profiled.Profiler() as second:
        with profiled.Profiler() as first:
            env = dict(first.env(rate=1), CONFINED_WAITS="1")
            worker = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
            confined = worker.stdout.readline()
        env["SPPROF_SOCKET"] = second.directory
        output, errors = worker.communicate("\n", timeout=TIMEOUT)
    bare = run(argv, agent=False)
    if not confined.startswith("confined 0"):
        return tap.skip(name, confined)
    found = re.search(r"^(\d+) samples$", errors, re.M)
    return tap.ok(worker.returncode == 3 and confined + output == bare.stdout and int(found[1]) > 10000, name,
                  [f"status {worker.returncode}", output, errors])


def check_other_libc(tap):
    name = "a program of another C library runs as without the agent, which says so in one line"
    source = os.path.join(profiled.SRC, "tests", "programs", "other_libc.c")
    if not shutil.which("musl-gcc"):
        return tap.skip(name, "musl-tools is not installed")
    with tempfile.TemporaryDirectory(prefix="spprof-test-") as place:
        path = os.path.join(place, "other_libc")
        built = run(["musl-gcc", "-O1", "-fno-builtin", "-pthread", "-o", path, source], agent=False)
        if built.returncode != 0:
            return tap.skip(name, "musl-gcc does not build here")
        bare, under = run([path], agent=False), run([path])
    return tap.ok(bare.returncode == 5 and (bare.returncode, bare.stdout) == (under.returncode, under.stdout) and
                  len(under.stderr.splitlines()) <= 1, name, told(bare) + told(under))


def main():
    profiled.need()
    tap = Tap()
    check_allocators(tap)
    check_threads(tap)
    check_tap(tap, "nothing of the agent is to be seen", "unseen")
    check_core(tap)
    check_tap(tap, "descriptor numbers that are used again", "reused_descriptors")
    check_confined(tap)
    check_without_proc(tap)
    check_daemon_restart(tap)
    check_other_libc(tap)
    tap.done()


main()
