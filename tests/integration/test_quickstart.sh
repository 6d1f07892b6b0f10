#!/bin/sh
# What README.md promises of scripts/quickstart (TAP), from redis on: the packages and the build are there already.
set -u
count=0
ok() { # STATUS NAME
	count=$((count + 1))
	[ "$1" -eq 0 ] && echo "ok $count - $2" || echo "not ok $count - $2"
}

for program in redis-server redis-cli redis-benchmark; do
	command -v $program >/dev/null || { echo "1..0 # SKIP $program is not installed"; exit 0; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/spprof-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
build=$(realpath "$BUILDDIR")
mkdir "$work/tmp" "$work/run"
cd "$work" || exit 1

# A daemon of this host must not take part, and what is left behind must be seen.
SPPROF_SOCKET=$work/none XDG_RUNTIME_DIR=$work/run TMPDIR=$work/tmp SPPROF_QUICKSTART_REQUESTS=20000 \
	"$SRCDIR/scripts/quickstart" "$build" >"$work/said" 2>&1 </dev/null
ok $? 'the quickstart ends well'
sed 's/^/# /' "$work/said"
grep -q '^live .* samples)' "$work/said"
ok $? 'it shows the live heap'
grep -q 'zmalloc' "$work/said"
ok $? 'it names functions of redis'
gzip -t <spprof-quickstart/redis.pb.gz
ok $? 'its pprof file is compressed whole'
python3 -c 'import json, sys; assert json.load(sys.stdin)["profiles"][0]["samples"]' <spprof-quickstart/redis.speedscope.json
ok $? 'its speedscope file has samples'
grep -q ';' spprof-quickstart/redis.folded
ok $? 'its collapsed file has stacks'
! find "$work/tmp" "$work/run" -mindepth 1 | grep .
ok $? 'nothing of it is left'
echo "1..$count"
