#!/bin/sh
# A sample makes no system call: 100,000 of them against a run that samples nothing. What may differ is
# constant: one probe of dead lease holders a second while rings are full.
set -u
: "${BUILDDIR:=.}"
agent=$BUILDDIR/.libs/libspprof-agent.so
allowed=8

if [ ! -e "$agent" ]; then
	echo "1..0 # SKIP no preloadable agent in this build"
	exit 0
fi
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
	echo "1..0 # SKIP strace is not installed or not permitted"
	exit 0
fi

count() { # count RATE: system calls of 1,000,000 pairs of 136 bytes on average
	strace -f -c -o "$calls" -E LD_PRELOAD="$agent" -E SPPROF_RATE="$1" -E SPPROF_CEILING=0 -E SPPROF_SOCKET=/nonexistent \
		"$BUILDDIR/tests/bench/hot_loop" pair 1000000 20 >/dev/null
	awk '$NF == "total" { print $4 }' "$calls"
}

calls=$(mktemp)
trap 'rm -f "$calls"' EXIT
none=$(count 1024G)
many=$(count 1200)
echo "# $none system calls without samples, $many with more than 100,000"
if [ -n "$none" ] && [ -n "$many" ] && [ $((many - none)) -le $allowed ]; then
	echo "ok 1 - no system call per sample"
else
	sed 's/^/# /' "$calls"
	echo "not ok 1 - no system call per sample"
fi
echo "1..1"
[ -n "$many" ] && [ $((many - none)) -le $allowed ]
