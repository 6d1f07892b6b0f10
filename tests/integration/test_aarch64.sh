#!/bin/sh
# The unwinder and the agent on aarch64, built by the cross compiler and run by qemu: chains of calls that know
# their own truth, compiled in the four ways that change where a frame's record and return address are. What
# needs a real kernel or processor is not seen here: the vdso (an older qemu has none; the test brings a signal
# trampoline of its own), hardware that signs with other bits than qemu's, weaker memory orders.
set -u
: "${BUILDDIR:=.}" "${SRCDIR:=.}"
: "${AARCH64_CC:=aarch64-linux-gnu-gcc}" "${AARCH64_ROOT:=/usr/aarch64-linux-gnu}"
n=0
failed=0

for tool in "$AARCH64_CC" qemu-aarch64; do
	if ! command -v "$tool" >/dev/null; then
		echo "1..0 # SKIP $tool is not installed"
		exit 0
	fi
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

say() { # say RESULT TEXT
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

compile() { # compile ARGUMENT...
	"$AARCH64_CC" -std=gnu11 -O2 -g -Wall -Wextra -fno-optimize-sibling-calls -pthread -I"$BUILDDIR" \
		-I"$SRCDIR/include" -I"$SRCDIR/agent" -I"$SRCDIR/tests" -I"$SRCDIR/tests/programs" "$@"
}

# As agent/local.mk does it, two at a time.
build_agent() { # build_agent NAME FLAG...
	name=$1
	shift
	mkdir "$work/$name" || return 1
	export AARCH64_CC SRCDIR BUILDDIR
	# shellcheck disable=SC2016 # expanded by the inner shell
	find "$SRCDIR/agent" -name '*.c' | xargs -P 2 -I '{}' sh -c 'source=$1 folder=$2; shift 2
		"$AARCH64_CC" -std=gnu11 -O2 -g -Wall -Wextra -fPIC -fvisibility=hidden -ftls-model=initial-exec \
			-fno-math-errno -fexceptions -fasynchronous-unwind-tables -fsemantic-interposition "$@" \
			-I"$BUILDDIR" -I"$SRCDIR/include" -I"$SRCDIR/agent" -DHAVE_CONFIG_H -c "$source" \
			-o "$folder/$(basename "$source" .c).o"' sh '{}' "$work/$name" "$@" &&
		"$AARCH64_CC" -shared -Wl,--version-script="$SRCDIR/agent/agent.map" -Wl,-z,now \
			"$work/$name"/*.o -o "$work/$name.so"
}

# Another one of the same objects, for a libc without _dl_find_object().
build_listed() {
	compile -fPIC -fvisibility=hidden -ftls-model=initial-exec -DOBJECTS_FINDER='"function_of_a_later_libc"' \
		-c "$SRCDIR/agent/unwind/objects.c" -o "$work/plain/objects.o" &&
		"$AARCH64_CC" -shared -Wl,--version-script="$SRCDIR/agent/agent.map" -Wl,-z,now \
			"$work/plain"/*.o -o "$work/listed.so"
}

emulate() { # emulate ARGUMENT...: of qemu
	timeout 300 qemu-aarch64 -cpu max -L "$AARCH64_ROOT" "$@"
}

judge() { # judge NAME COMMAND...: whose TAP becomes a part of ours
	name=$1
	shift
	"$@" >"$work/output" 2>&1
	status=$?
	while IFS= read -r line; do
		case $line in
		'ok '*) say ok "$name: ${line#ok * - }" ;;
		'not ok '*) say 'not ok' "$name: ${line#not ok * - }" ;;
		1..*) ;;
		*) echo "# ${line#\# }" ;;
		esac
	done <"$work/output"
	if [ $status -gt 1 ] || ! grep -q '^1\.\.' "$work/output"; then
		say 'not ok' "$name: runs to its end (status $status)"
	fi
}

test_flags() { # test_flags NAME FLAG...
	name=$1
	shift
	if ! compile "$@" "$SRCDIR"/agent/unwind/*.c "$SRCDIR/tests/programs/unwind_cross.c" \
		"$SRCDIR/tests/programs/unwind_judge.c" "$SRCDIR/tests/programs/unwind_truth.c" -o "$work/cross" ||
		! compile "$@" -fno-builtin "$SRCDIR/tests/programs/unwind_sampled.c" \
			"$SRCDIR/tests/programs/unwind_truth.c" -Wl,--enable-new-dtags "-Wl,-rpath,$work/libraries" \
			-o "$work/sampled" ||
		! compile "$@" -fPIC -shared -DUNWIND_LIB_FRAME_BYTES=264 "$SRCDIR/tests/programs/unwind_lib.c" \
			-o "$work/libraries/unwind_lib.so"; then
		say 'not ok' "$name: compiles"
		return
	fi
	judge "$name" emulate "$work/cross"
	for agent in plain protected listed; do
		judge "$name, agent $agent" emulate -E LD_PRELOAD="$work/$agent.so" -E SPPROF_RATE=1 \
			-E SPPROF_CEILING=0 -E SPPROF_SOCKET=/nonexistent "$work/sampled" \
			"$work/libraries/unwind_lib.so" unwind_lib.so
	done
}

# An emulated process has its segment like any other, so it is read as on this machine.
test_python() {
	root=${SPPROF_AARCH64_PYTHON-}
	if [ -z "$root" ] || [ ! -x "$root/usr/bin/python3" ]; then
		say ok 'Python # SKIP SPPROF_AARCH64_PYTHON is not what scripts/fetch-aarch64-python has made'
		return
	fi
	cat >"$work/python" <<-END
		#!/bin/sh
		unset LD_PRELOAD
		exec qemu-aarch64 -cpu max -L '$root' -E LD_PRELOAD='$work/plain.so' '$root/usr/bin/python3' "\$@"
	END
	chmod +x "$work/python"
	judge Python timeout 600 python3 "$SRCDIR/tests/integration/test_python_stacks.py" aarch64 "$work/python"
}

mkdir "$work/libraries"
if build_agent plain && build_listed && build_agent protected -fomit-frame-pointer -mbranch-protection=standard; then
	say ok 'the agent is built for aarch64'
else
	say 'not ok' 'the agent is built for aarch64'
fi
test_flags 'as usual'
test_flags 'without frame pointers' -fomit-frame-pointer
test_flags 'signed return addresses' -mbranch-protection=standard
test_flags 'signed, without frame pointers' -fomit-frame-pointer -mbranch-protection=standard
test_python
echo "1..$n"
[ $failed -eq 0 ]
