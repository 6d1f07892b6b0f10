"""Line tables of code objects as CPython itself reads them: dump_lines.py LIMIT [FILE ...], else the standard library.

For any CPython from 3.9 on. One line per code object:

    FORM FIRST_LINE TABLE_IN_HEX UNIT:LINE,UNIT:LINE,...,END

FORM is enum wire_code_lines; LINE is that of the instructions from UNIT on, by PyCode_Addr2Line (0: none); END the number
of code units.
"""
import ctypes
import os
import random
import sys
import sysconfig
import warnings

VERSION = sys.version_info[:2]
FORM = 1 if VERSION < (3, 10) else 2 if VERSION < (3, 11) else 3
addr2line = ctypes.pythonapi.PyCode_Addr2Line
addr2line.restype = ctypes.c_int
addr2line.argtypes = [ctypes.py_object, ctypes.c_int]


def codes_of(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from codes_of(constant)


def dump(code):
    table = code.co_lnotab if FORM == 1 else code.co_linetable
    units, runs, last = len(code.co_code) // 2, [], None
    for unit in range(units):
        line = max(addr2line(code, unit * 2), 0)
        if line != last:
            runs.append(f"{unit}:{line}")
            last = line
    print(FORM, code.co_firstlineno, table.hex() or "-", ",".join([*runs, str(units)]))


def library():
    top = sysconfig.get_paths()["stdlib"]
    paths = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if f not in ("site-packages", "dist-packages", "__pycache__"))
        paths += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    random.Random(1).shuffle(paths)
    return paths


def main():
    limit, paths, count = int(sys.argv[1]), sys.argv[2:] or library(), 0
    warnings.simplefilter("ignore")
    for path in paths:
        with open(path, "rb") as file:
            source = file.read()
        try:
            code = compile(source, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue  # lib2to3's test data
        for one in codes_of(code):
            dump(one)
            count += 1
            if count == limit:
                return


main()
