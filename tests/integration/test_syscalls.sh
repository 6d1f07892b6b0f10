#!/bin/sh
# A sample makes no system call: 100,000 of them against a run that samples nothing, on the main thread and on others.
# What may differ is constant: one probe of dead lease holders a second while rings are full, and of a thread's own
# stack each page once. An audit asks for the pages that it copies, off the main thread: none with SPPROF_AUDIT=0.
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

count() { # count RATE AUDIT THREADS OPERATIONS DEPTH: calls of that many pairs of 136 bytes per thread; 0: the main one
	strace -f -c -o "$calls" -E LD_PRELOAD="$agent" -E SPPROF_RATE="$1" -E SPPROF_AUDIT="$2" -E SPPROF_CEILING=0 \
		-E SPPROF_SOCKET=/nonexistent "$BUILDDIR/tests/bench/hot_loop" $([ "$3" = 0 ] || echo "-t $3") pair "$4" "$5" >/dev/null
	awk '$NF == "total" { print $4 }' "$calls"
}

judge() { # judge NUMBER DESCRIPTION FEWER MORE LEAST MOST: MORE - FEWER is in the range
	if [ -n "$3" ] && [ -n "$4" ] && [ $(($4 - $3)) -ge "$5" ] && [ $(($4 - $3)) -le "$6" ]; then
		echo "ok $1 - $2"
	else
		sed 's/^/# /' "$calls"
		echo "not ok $1 - $2"
		failed=1
	fi
}

calls=$(mktemp)
trap 'rm -f "$calls"' EXIT
failed=0
echo "1..4"

none=$(count 1024G 1000 0 1000000 20)
many=$(count 1200 1000 0 1000000 20)
echo "# main thread: $none system calls without samples, $many with more than 100,000 and more than 100 audits"
judge 1 "no system call per sample" "$none" "$many" "-$allowed" $allowed

# Stacks of more than the 16 KiB that an audit copies, and of less than 64 pages.
threads=2 operations=100000 depth=1500 pages=64
none=$(count 1024G 0 $threads $operations $depth)
many=$(count 1200 0 $threads $operations $depth)
echo "# $threads threads: $none system calls without samples, $many with more than 20,000"
judge 2 "no system call per sample on other threads" "$none" "$many" "-$allowed" $((allowed + threads * pages))

# Of 136 bytes at a rate of 1200 fewer than one in 9 is sampled, more than one in 10.
every=50
audited=$(count 1200 $every $threads $operations $depth)
most=$((threads * operations / 9 / every)) least=$((threads * operations / 10 / every - 64))
echo "# $threads threads: $audited system calls with $least to $most audits"
judge 3 "an audit on another thread asks for five pages at most" "$many" "$audited" 1 $((5 * most + allowed))
judge 4 "it asks for what it copies" "$many" "$audited" "$least" $((5 * most + allowed))
exit $failed
