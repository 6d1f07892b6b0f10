"""Holds memory from known lines, says so and waits for its input's end. The comments at the ends of lines are read by
tests/integration/test_python_lines.py. For any CPython from 3.9 on."""
import json
import re
import sqlite3
import sys
import zlib


class Cache:
    def __init__(self):
        self.items = []

    def remember(self):
        self.items.append(bytearray(8000))  # leak


def numbers():
    import numpy
    return [numpy.zeros(3000) for _ in range(50)]  # numpy


def frames():
    import numpy
    import pandas
    return [pandas.DataFrame({"a": numpy.arange(3000)}).a.cumsum() for _ in range(50)]  # pandas


def attempt(make):
    try:
        return make()
    except ImportError:
        return None


def work(cache, kept):
    for _ in range(2000):
        cache.remember()  # caller
    for i in range(50):
        kept.append(zlib.decompressobj())  # zlib
        kept.append(json.loads("[" + "1.5," * 3000 + "1]"))  # json
        kept.append(re.compile("(a|b)*" * 100 + str(i)))  # re
    database = sqlite3.connect(":memory:")
    database.execute("create table t(x)")
    database.executemany("insert into t values(?)", (("x" * 1000,) for _ in range(2000)))  # sqlite3
    kept.append(database)
    kept.append(attempt(numbers))
    kept.append(attempt(frames))


def main():
    cache, kept = Cache(), []
    work(cache, kept)
    print(" ".join(name for name in ("numpy", "pandas") if name in sys.modules), flush=True)
    sys.stdin.read()


main()
