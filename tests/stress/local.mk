# tests/stress

# Each prints TAP; `make check` runs them once, SPPROF_STRESS=N scales them for instrumented builds.
stress_tests += tests/stress/stress_announce
tests_stress_stress_announce_SOURCES = tests/stress/stress_announce.c
tests_stress_stress_announce_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_stress_stress_announce_CFLAGS = $(AM_CFLAGS) -pthread
tests_stress_stress_announce_LDADD = libagent.la
unit_tests += tests/stress/stress_announce
