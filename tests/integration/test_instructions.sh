#!/bin/sh
# Instructions of an unsampled operation, over an empty forwarding preload, counted by callgrind. A test,
# because counts do not depend on how busy the machine is.
set -u
: "${BUILDDIR:=.}"
agent=$BUILDDIR/.libs/libspprof-agent.so
floor=$BUILDDIR/tests/bench/.libs/libempty-forwarder.so
few=20000
many=60000
threads=64

if [ ! -e "$agent" ] || [ ! -e "$floor" ]; then
	echo "1..0 # SKIP no preloadable agent in this build"
	exit 0
fi
if ! command -v valgrind >/dev/null; then
	echo "1..0 # SKIP valgrind is not installed"
	exit 0
fi

instructions() { # instructions PRELOAD MODE OPERATIONS THREADS
	set -- "$1" "$2" "$3" "${4:+-t$4}"
	LD_PRELOAD=$1 SPPROF_RATE=1024G SPPROF_SOCKET=/nonexistent valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$BUILDDIR/tests/bench/hot_loop" ${4:+"$4"} "$2" "$3" 2>&1 | awk '/Collected/ { print $NF }'
}

per_operation() { # per_operation PRELOAD MODE [THREADS]: of all threads together
	a=$(instructions "$1" "$2" $((few / ${3:-1})) "${3-}")
	b=$(instructions "$1" "$2" $((many / ${3:-1})) "${3-}")
	awk -v a="$a" -v b="$b" -v n=$((many / ${3:-1} * ${3:-1} - few / ${3:-1} * ${3:-1})) 'BEGIN { printf "%.1f", (b - a) / n }'
}

n=0
failed=0
bound() { # bound MODE BUDGET [THREADS]
	n=$((n + 1))
	base=$(per_operation "$floor" "$1" "${3-}")
	ours=$(per_operation "$agent" "$1" "${3-}")
	text="$1${3:+ in each of $3 threads}: $ours instructions, empty forwarder $base, budget +$2"
	if awk -v o="$ours" -v b="$base" -v m="$2" 'BEGIN { exit !(b > 0 && o > 0 && o - b <= m) }'; then
		echo "ok $n - $text"
	else
		echo "not ok $n - $text"
		failed=$((failed + 1))
	fi
}

bound pair 12
bound calloc 12
bound realloc 12
bound usable 12
bound pair 12 $threads
echo "1..$n"
[ $failed -eq 0 ]
