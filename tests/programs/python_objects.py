"""Allocates small objects as it is told, line by line: for tests of what is sampled of them. Imports little: all of that
is sampled, too."""
import gc
import os
import sys


class Pair:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


def make_strings(count):
    return ["text %d" % (i * 1000003) for i in range(count)]


def make_lists(count):
    return [[None, i, None][: i % 3 + 1] for i in range(count)]


def make_dicts(count):
    return [{"key": None} for _ in range(count)]


def make_objects(count):
    return [Pair(None, None) for _ in range(count)]


def make_grown(count):
    """Lists that are enlarged and cut, from arenas to malloc and back."""
    grown = []
    for i in range(count // 10):
        items = []
        for _ in range(i % 100):
            items.append(None)
        del items[i % 7 + 1:]
        grown.append(items)
    return grown


def preloads_word(name):
    import ctypes
    return ctypes.c_size_t.in_dll(ctypes.CDLL(None), name)


KINDS = [make_strings, make_lists, make_dicts, make_objects, make_grown]
kept = []
# A file of Python would hold a buffer of 8 KiB while it waits for a line: its reader counts one more or less of it.
for line in iter(lambda: os.read(0, 64), b""):
    word, *arguments = line.decode().split()
    if word == "grow":
        kept.extend(kind(int(arguments[0])) for kind in KINDS if arguments[1:] in ([], [kind.__name__]))
    elif word == "drop":
        kept.clear()
        gc.collect()
    elif word == "trace":
        import tracemalloc
        tracemalloc.start()
    elif word == "forget":
        tracemalloc.stop()
    elif word == "refuse":
        preloads_word("refused_size").value = int(arguments[0])
    elif word == "refused":
        preloads_word("refused_size").value = 0
        assert preloads_word("refusals").value > 0
    elif word == "fork":
        child = os.fork()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        import ctypes
        getattr(ctypes.CDLL(None), word)()
    traced = sys.modules["tracemalloc"].get_traced_memory()[0] if "tracemalloc" in sys.modules else 0
    print("done", os.getpid(), traced, flush=True)
