# Tests of the programs, from the build tree. A sanitized agent cannot be preloaded into an unsanitized program, so
# instrumented builds leave those out that preload it.
preload_tests = \
	tests/integration/test_aarch64.sh \
	tests/integration/test_audit.py \
	tests/integration/test_costs.py \
	tests/integration/test_entry_points.sh \
	tests/integration/test_control.sh \
	tests/integration/test_resync.py \
	tests/integration/test_restart.py \
	tests/integration/test_asking.py \
	tests/integration/test_readings.py \
	tests/integration/test_kills.py \
	tests/integration/test_instructions.sh \
	tests/integration/test_python_instructions.py \
	tests/integration/test_walk_instructions.py \
	tests/integration/test_surroundings.sh \
	tests/integration/test_syscalls.sh \
	tests/integration/test_python_end_to_end.py \
	tests/integration/test_python_lines.py \
	tests/integration/test_python_objects.py \
	tests/integration/test_prefork.py \
	tests/integration/test_python_stacks.py \
	tests/integration/test_bad_input.py \
	tests/integration/test_quickstart.sh \
	tests/integration/test_run.py \
	tests/integration/test_harmless.py \
	tests/integration/redis_truth.py

# Too long for `make check`: .ci/run makes some runs of each, `make check-long` many.
long_tests = \
	tests/integration/ground_truth_stats.py \
	tests/integration/redis_truth.py \
	tests/integration/test_python_objects.py \
	tests/integration/test_completeness.py

if !SANITIZED
dist_check_SCRIPTS += $(preload_tests)
else
EXTRA_DIST += $(preload_tests)
endif
EXTRA_DIST += tests/integration/profiled.py tests/integration/audited_programs.py tests/integration/worker_segment.py \
	tests/programs/python_kinds.py tests/programs/python_leak.py tests/programs/python_objects.py \
	tests/programs/prefork_app.py tests/programs/fork_tree.py \
	tests/integration/endurance.py tests/integration/ground_truth_stats.py \
	tests/integration/real_suites.py tests/integration/suite_kinds.py tests/integration/suite_sources.py tests/integration/test_completeness.py

# The statistics of .ci/run; more runs by SPPROF_TRUTH_RUNS and SPPROF_REDIS_RUNS.
check-statistics: all
	SPPROF_LONG=1 $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(long_tests) tests/model/test_announce_model tests/model/test_resync_model tests/model/test_filter_model'

# A real spprofd with fake workers and hand-made clients.
integration_programs = \
	tests/integration/test_daemon_attach \
	tests/integration/test_daemon_clients \
	tests/integration/test_daemon_hostile \
	tests/integration/test_daemon_alone \
	tests/integration/test_daemon_python
unit_tests += $(integration_programs)
integration_cppflags = $(test_cppflags) $(proto_cppflags)
integration_ldadd = libdaemonfixture.la libspproto.la $(CHECK_LIBS)

tests_integration_test_daemon_attach_CPPFLAGS = $(integration_cppflags)
tests_integration_test_daemon_attach_LDADD = $(integration_ldadd)
tests_integration_test_daemon_clients_SOURCES = tests/integration/test_daemon_clients.c tests/integration/clients_fixture.h
tests_integration_test_daemon_clients_CPPFLAGS = $(integration_cppflags)
tests_integration_test_daemon_clients_LDADD = $(integration_ldadd)
tests_integration_test_daemon_hostile_SOURCES = tests/integration/test_daemon_hostile.c tests/integration/clients_fixture.h
tests_integration_test_daemon_hostile_CPPFLAGS = $(integration_cppflags)
tests_integration_test_daemon_hostile_LDADD = $(integration_ldadd)
tests_integration_test_daemon_alone_SOURCES = tests/integration/test_daemon_alone.c tests/integration/clients_fixture.h
tests_integration_test_daemon_alone_CPPFLAGS = $(integration_cppflags)
tests_integration_test_daemon_alone_LDADD = $(integration_ldadd)
tests_integration_test_daemon_python_CPPFLAGS = $(integration_cppflags)
tests_integration_test_daemon_python_LDADD = $(integration_ldadd)
