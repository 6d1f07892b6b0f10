# Tests of the installed programs, from the build tree. A sanitized agent cannot be preloaded into an
# unsanitized program, so instrumented builds leave those out that preload it.
preload_tests = \
	tests/integration/test_entry_points.sh \
	tests/integration/test_instructions.sh \
	tests/integration/test_syscalls.sh

if !SANITIZED
dist_check_SCRIPTS += $(preload_tests)
else
EXTRA_DIST += $(preload_tests)
endif
