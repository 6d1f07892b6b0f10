#!/bin/sh
# Every entry point under the agent, in front of each allocator that is here, sampling all, some and few.
# Each program prints TAP of its own; here each run of one is a test.
set -u
: "${BUILDDIR:=.}"
agent=$BUILDDIR/.libs/libspprof-agent.so
n=0
failed=0

say() { # say RESULT TEXT
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

verdicts() { # what failed, and whether the program got to its end
	echo "$1" | grep -e '^not ok' -e '^1\.\.'
}

run() { # run NAME PRELOADED_ALLOCATOR RATE PROGRAM
	text="$4 in front of $1, interval $3"
	if [ "$1" != libc ] && [ -z "$2" ]; then
		say ok "$text # SKIP $1 is not installed"
		return
	fi
	# Some allocators break rules by themselves: then it must be the same with the agent.
	bare=$(LD_PRELOAD=$2 "$BUILDDIR/tests/programs/$4" 2>/dev/null)
	output=$(SPPROF_RATE=$3 SPPROF_CEILING=0 LD_PRELOAD="$agent $2" "$BUILDDIR/tests/programs/$4" 2>&1)
	status=$?
	if [ $status -eq 0 ] && ! echo "$output" | grep -q '^not ok' && echo "$output" | grep -q '^1\.\.'; then
		say ok "$text"
	elif [ "$1" != libc ] && [ "$(verdicts "$output")" = "$(verdicts "$bare")" ]; then
		say ok "$text: as without the agent"
	else
		echo "$output" | grep -v '^ok' | sed 's/^/# /'
		say 'not ok' "$text (status $status)"
	fi
}

library() {
	find /usr/lib /lib -name "$1" 2>/dev/null | grep "$(uname -m)" | head -n 1
}

if [ ! -e "$agent" ]; then
	echo "1..0 # SKIP no preloadable agent in this build"
	exit 0
fi
jemalloc=$(library 'libjemalloc.so.2')
tcmalloc=$(library 'libtcmalloc.so.4')
mimalloc=$(library 'libmimalloc.so.2*')
for program in alloc_family new_forms; do
	for rate in 1 997 512K; do
		run libc '' $rate $program
		run jemalloc "$jemalloc" $rate $program
		run tcmalloc "$tcmalloc" $rate $program
		run mimalloc "$mimalloc" $rate $program
	done
done
echo "1..$n"
[ $failed -eq 0 ]
