#!/bin/sh
# The agent in surroundings that are none of its making: early constructors, allocators before it, few
# descriptors, filters over system calls. What a program says and how it ends is as without the agent.
set -u
: "${BUILDDIR:=.}"
agent=$BUILDDIR/.libs/libspprof-agent.so
programs=$BUILDDIR/tests/programs
n=0
failed=0
# What make's job server left open would be among the few descriptors.
exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-

say() { # say RESULT TEXT
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

with_agent() { # with_agent BEFORE COMMAND...: BEFORE is preloaded before the agent
	before=$1
	shift
	env SPPROF_RATE=1 SPPROF_CEILING=0 LD_PRELOAD="$before $agent" "$@"
}

tap() { # tap TEXT BEFORE PROGRAM...: a program that prints TAP
	text=$1
	shift
	output=$(with_agent "$@" 2>&1)
	status=$?
	if echo "$output" | grep -q '^1\.\.0 # SKIP'; then
		say ok "$text # SKIP ${output##*SKIP }"
	elif [ $status -eq 0 ] && ! echo "$output" | grep -q '^not ok' && echo "$output" | grep -q '^1\.\.'; then
		say ok "$text"
	else
		echo "$output" | grep -v '^ok' | sed 's/^/# /'
		say 'not ok' "$text (status $status)"
	fi
}

same() { # same TEXT SCRIPT: a shell script that ends and prints as without the agent
	bare=$(sh -c "$2" 2>&1; echo "status $?")
	under=$(with_agent '' sh -c "$2" 2>&1; echo "status $?")
	if [ "$bare" = "$under" ]; then
		say ok "$1"
	else
		printf '%s\n' "$under" | sed 's/^/# /'
		say 'not ok' "$1"
	fi
}

library() {
	find /usr/lib /lib -name "$1" 2>/dev/null | grep "$(uname -m)" | head -n 1
}

if [ ! -e "$agent" ]; then
	echo "1..0 # SKIP no preloadable agent in this build"
	exit 0
fi
tap 'allocations before any constructor' '' "$programs/early_life"
tap 'samples of known stacks, and libraries that come and go' '' "$programs/unwind_sampled" \
	"$programs/.libs/unwind_lib_small.so" unwind_lib_large.so
tap 'a program with an allocator of its own' '' "$programs/own_allocator"
tap 'every allocation is counted once' '' "$programs/count_new"
tap 'a filter over system calls' '' "$programs/locked_down" filter
tap 'no time stamp counter' '' "$programs/locked_down" tsc
for name in libjemalloc.so.2 libtcmalloc.so.4; do
	allocator=$(library $name)
	if [ -n "$allocator" ]; then
		tap "$name stands before the agent" "$allocator" "$programs/alloc_family"
	else
		say ok "$name stands before the agent # SKIP not installed"
	fi
done
same 'as few descriptors as cat needs' 'ulimit -n 4; cat /etc/passwd'
same "ten descriptors, all of them the program's" 'ulimit -n 10; ls /proc/self/fd | wc -l'
same 'no standard input' 'ls -d / <&-; ulimit -n 8; ls -d / <&-'
same 'no file may grow' 'ulimit -f 0; ls -d /'
same 'little address space' 'ulimit -v 12000; ls -d /'
same "most of the address space is the program's" 'ulimit -v 32000; head -c 21000000 /dev/zero | tail -c 20000000 | wc -c'
same 'an empty environment further on' 'env -i /bin/ls -d /'
if command -v curl >/dev/null; then
	same 'a program whose libraries make locales at load' 'curl --version'
else
	say ok 'a program whose libraries make locales at load # SKIP curl is not installed'
fi
echo "1..$n"
[ $failed -eq 0 ]
