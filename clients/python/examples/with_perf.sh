#!/bin/sh
# Memory and CPU time of the same run: spprof samples allocations, perf samples the CPU; neither needs the other, and both
# files open in the same viewers. perf may need `sysctl kernel.perf_event_paranoid=1`, or root.
#
# usage: with_perf.sh [SCRIPT [ARGUMENT...]]
set -eu
here=$(dirname "$0")
python=${PYTHON:-python3}
[ $# -gt 0 ] || set -- "$here/basic.py" memory.speedscope.json
command -v perf >/dev/null || { echo "with_perf.sh: perf is not installed (apt-get install linux-perf)" >&2; exit 1; }
# -F 199: not in step with anything; -g: stacks. Python 3.12 and newer: add -X perf after -m spprof run, for names of
# Python's functions in perf's stacks.
perf record -q -F 199 -g -o perf.data -- "$python" -m spprof run "$@"
perf script -i perf.data 2>/dev/null >cpu.perf
echo "memory: what the script saved; CPU: cpu.perf. Drop both onto https://www.speedscope.app"
