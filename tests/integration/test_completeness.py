#!/usr/bin/env python3
"""Stacks are whole (TAP): python3 with numpy, git, a compilation by gcc -O2, and a C++ program.

At least 99 % of each one's samples must have a stack that reached its outermost frame. The figures come from the
snapshots that the daemon keeps of ended processes; a command's children count with it.
"""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import profiled  # noqa: E402
from tap import Tap  # noqa: E402

RATE = "8K"
LEAST = 0.99
NUMPY = """
import numpy as np
keep = []
for i in range(200):
    a = np.arange(2000 + i, dtype=float)
    keep.append((a * 2 + a[::-1]).sort())
    keep.append([str(i) * 40 for i in range(200)])
"""
C_SOURCE = "#include <stdio.h>\n#include <math.h>\n" + "".join(
    f"double f{i}(double *x, int n) {{ double s = {i}; for (int k = 0; k < n; k++) s += x[k] * sin(s + {i}); "
    f"if (n > {i}) printf(\"%f\", s); return s; }}\n" for i in range(300))
CXX_SOURCE = """
#include <map>
#include <memory>
#include <string>
#include <vector>
int main()
{
	std::map<std::string, std::vector<std::shared_ptr<std::string>>> all;
	for (int i = 0; i < 60000; i++)
		all["a key with some length " + std::to_string(i % 999)].push_back(
			std::make_shared<std::string>(40 + i % 200, 'x'));
	return all.size() == 999 ? 0 : 1;
}
"""


def whole_of(profiler, root):
    """(whole, all) stacks of the processes that came from `root`'s run: of all that the daemon knows."""
    whole = total = 0
    for process in json.loads(profiler.ctl("list", "--all", "--json").stdout)["processes"]:
        quality = profiler.snapshot(process["pid"])["quality"]
        whole += quality["stacks_whole"]
        total += sum(quality["stacks_" + kind] for kind in ("whole", "truncated", "stopped"))
    return whole, total


def commands(directory):
    c_file, cxx_file = (os.path.join(directory, name) for name in ("work.c", "work.cpp"))
    cxx_program = os.path.join(directory, "work")
    for path, text in ((c_file, C_SOURCE), (cxx_file, CXX_SOURCE)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    subprocess.run(["g++", "-O2", "-o", cxx_program, cxx_file], check=True)
    repository = os.path.join(directory, "repository")
    subprocess.run(["git", "init", "-q", repository], check=True)
    for i in range(300):
        with open(os.path.join(repository, f"file{i}"), "w", encoding="utf-8") as file:
            file.write(f"{i}\n" * 200)
    yield "python3 with numpy", ["/usr/bin/python3", "-c", NUMPY]
    yield "git add", ["git", "-C", repository, "add", "."]
    yield "gcc -O2", ["gcc", "-O2", "-o", "/dev/null", "-shared", "-fPIC", c_file, "-lm"]
    yield "a C++ program", [cxx_program]


def main():
    profiled.need("/usr/bin/python3", "git", "gcc", "g++")
    tap = Tap()
    with tempfile.TemporaryDirectory() as directory:
        for name, argv in commands(directory):
            with profiled.Profiler() as profiler:
                env = profiler.env(RATE, OPENBLAS_NUM_THREADS="1")
                if name.endswith("numpy") and subprocess.run(
                        [argv[0], "-c", "import numpy"], capture_output=True, check=False).returncode != 0:
                    tap.skip(f"{name}: 99 % of the stacks are whole", "numpy is not installed")
                    continue
                done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
                tap.ok(done.returncode == 0, f"{name} runs under the agent", done.stderr.decode())
                whole, total = whole_of(profiler, argv[0])
                tap.note(f"{name}: {whole} of {total} stacks are whole")
                tap.ok(total >= 100 and whole >= LEAST * total, f"{name}: 99 % of the stacks are whole")
    tap.done()


main()
