"""Allocates in many kinds of code, and says which frames CPython itself has then: for test_python_stacks.py. Each block
has a size of its own, by which its sample is found, and is so large that it is sampled for certain.

Prints JSON lines: {"kind": ..., "size": ..., "frames": [[name, file, line], ...]}, innermost first; {"skip": kind, "why": ...};
{"sync": true} after each of which it waits for a line on its standard input.
"""
import asyncio
import ctypes
import json
import os
import sys
import threading

MARK = 64 << 20
HEAD = bytes.__basicsize__  # of an object of bytes, whose memory comes from calloc and is not touched
KINDS = os.environ.get("SPPROF_TEST_KINDS", "all")
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
taken = 0


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def sync():
    say(sync=True)
    sys.stdin.readline()


def frames_of(frame):
    found = []
    while frame:
        code = frame.f_code
        found.append([getattr(code, "co_qualname", code.co_name), code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return found


def note(kind, frame):
    """How many bytes the caller makes on the same line."""
    global taken
    taken += 1
    say(kind=kind, size=MARK + 64 * taken, frames=frames_of(frame))
    return MARK + 64 * taken - HEAD


def recursion(n):
    if n == 0:
        return bytes(note("recursion", sys._getframe()))
    return recursion(n - 1)


deep = (lambda n: bytes(note("lambda", sys._getframe())) if n == 0 else (lambda: deep(n - 1))())


class Thing:
    @property
    def size(self):
        return len(
            bytes(note("property", sys._getframe())))

    def __getattr__(self, name):
        return bytes(note("getattr", sys._getframe()))

    def __del__(self):
        bytes(note("__del__", sys._getframe()))


def generator(n):
    for i in range(n):
        if i == 2:
            bytes(note("generator", sys._getframe()))
        yield i


def delegating(n):
    yield from generator(n)


async def inner():
    await asyncio.sleep(0)
    return bytes(note("coroutine", sys._getframe()))


async def outer():
    return await asyncio.gather(inner(), inner())


def key(x):
    if x == 3:
        bytes(note("sort callback", sys._getframe()))
    return -x


class Meta(type):
    def __call__(cls, *values):
        bytes(note("metaclass", sys._getframe()))
        return super().__call__(*values)


class Made(metaclass=Meta):
    def __init__(self):
        self.block = bytes(note("metaclass", sys._getframe()))


def run_exec():
    source = "\n\ndef dynamic():\n    return [\n        len(\n            bytes(note('exec', sys._getframe())))]\ndynamic()"
    exec(compile(source, "<exec é中\U0001f600>", "exec"), {"note": note, "sys": sys})


def run_in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def without_gil():
    libc.free(libc.malloc(HEAD + note("GIL released", sys._getframe())))


def threads():
    bytes(note("threads", sys._getframe()))
    sorted([1, 3], key=key)


def mixed():
    """Evaluator in evaluator: finalizer in a generator in map in a callback of sort."""
    def with_finalizer():
        thing = Thing()
        del thing
        yield 1
    return sorted([1], key=lambda x: list(map(lambda y: list(with_finalizer()), [x])))


def many_lines(a=1,
               b=2):
    return (a,
            b,
            bytes(note("many lines", sys._getframe())),
            a)


def closure():
    value = 1

    def inside():
        return value, [bytes(note("closure", sys._getframe())) for _ in range(1)]
    return inside()


def raising():
    try:
        raise ValueError
    except ValueError:
        return bytes(note("exception", sys._getframe()))
    finally:
        bytes(note("exception", sys._getframe()))


def in_subinterpreter():
    if sys.version_info < (3, 12):
        say(skip="subinterpreter", why="frames of subinterpreters are read from 3.12 on")
        return
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    source = """if True:
        import json, sys
        def note(kind, frame, size):
            found = []
            while frame:
                found.append([frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno])
                frame = frame.f_back
            sys.stdout.write(json.dumps({"kind": kind, "size": size, "frames": found}) + chr(10))
            sys.stdout.flush()
            return size - bytes.__basicsize__
        def run(n):
            return bytes(note("subinterpreter", sys._getframe(), %d)) if n == 0 else run(n - 1)
        run(3)
        """
    global taken
    taken += 1
    interpreter = interpreters.create()
    # The main interpreter's frames are further out: they belong to another chain, which is not followed.
    if hasattr(interpreters, "exec"):
        interpreters.exec(interpreter, source % (MARK + 64 * taken))
    else:
        interpreters.run_string(interpreter, source % (MARK + 64 * taken))
    interpreters.destroy(interpreter)


def in_greenlet():
    try:
        import greenlet
    except ImportError:
        say(skip="greenlet", why="greenlet is not installed for this interpreter")
        return

    def body():
        bytes(note("greenlet", sys._getframe()))
        greenlet.getcurrent().parent.switch()
        sorted([1], key=lambda x: bytes(note("greenlet", sys._getframe())) and 0)

    other = greenlet.greenlet(body)
    other.switch()
    bytes(note("greenlet", sys._getframe()))
    sorted([1], key=lambda x: other.switch() or 0)


def reused_addresses():
    """Functions that are made and go away, at addresses that are used again: of the same length, name, file or lines."""
    for i in range(int(os.environ.get("SPPROF_TEST_REUSED", "4000"))):
        name = "f%05d" % i if i % 2 else "same"
        source = "\n" * (i % 3) + "def %s():\n%s bytes(note('reused', sys._getframe()))\n%s()\n" % (
            name, " x=1\n" * (i % 5), name)
        exec(compile(source, "<d%d>" % (i % 4), "exec"), {"note": note, "sys": sys})
        if i % 50 == 49:
            sync()


def all_kinds():
    recursion(5)
    deep(3)
    thing = Thing()
    thing.size, thing.missing
    del thing
    list(generator(4))
    list(delegating(4))
    asyncio.run(outer())
    sorted([1, 3, 2], key=key)
    Made()
    run_exec()
    without_gil()
    run_in_thread(threads)
    run_in_thread(without_gil)
    mixed()
    many_lines()
    closure()
    raising()
    in_subinterpreter()
    in_greenlet()
    sync()


# Once before, so that what is measured is warm: imports allocate, too.
sync()
if KINDS == "all":
    all_kinds()
else:
    reused_addresses()
sync()
