#!/bin/sh
# include/spprof/spprof.h: programs that use it run without an agent, and control the one that is preloaded. C and
# C++, position-independent or not.
set -u
: "${BUILDDIR:=.}"
agent=$BUILDDIR/.libs/libspprof-agent.so
programs=$BUILDDIR/tests/programs
n=0
failed=0

say() { # say RESULT TEXT
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

run() { # run TEXT COMMAND...
	text=$1
	shift
	output=$("$@" 2>&1)
	status=$?
	if [ $status -eq 0 ] && echo "$output" | grep -q '^1\.\.'; then
		say ok "$text"
	else
		echo "$output" | grep -v '^ok' | sed 's/^/# /'
		say 'not ok' "$text (status $status)"
	fi
}

expect() { # expect WANTED TEXT COMMAND...
	wanted=$1 text=$2
	shift 2
	output=$("$@" 2>&1)
	if [ "$output" = "$wanted" ]; then say ok "$text"; else say 'not ok' "$text: $output"; fi
}

if [ ! -e "$agent" ]; then
	echo "1..0 # SKIP no preloadable agent in this build"
	exit 0
fi
under="env SPPROF_RATE=1K SPPROF_CEILING=0 SPPROF_SOCKET=/nonexistent LD_PRELOAD=$agent"
for form in controlled controlled_no_pie; do
	run "$form without an agent" "$programs/$form" alone
	# shellcheck disable=SC2086 # a command
	run "$form under the agent" $under "$programs/$form"
done
expect alone 'C++ without an agent' "$programs/controlled_cxx"
# shellcheck disable=SC2086
expect loaded 'C++ under the agent' $under "$programs/controlled_cxx"
expect alone 'an inert one counts as none' env SPPROF_DISABLE=1 LD_PRELOAD="$agent" "$programs/controlled_cxx"
echo "1..$n"
[ $failed -eq 0 ]
