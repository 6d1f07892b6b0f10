# tests/stress

# Each prints TAP; `make check` runs them once, SPPROF_STRESS=N scales them for instrumented builds.
stress_tests += tests/stress/stress_announce
tests_stress_stress_announce_SOURCES = tests/stress/stress_announce.c
tests_stress_stress_announce_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_stress_stress_announce_CFLAGS = $(AM_CFLAGS) -pthread
tests_stress_stress_announce_LDADD = libagent.la
unit_tests += tests/stress/stress_announce

stress_tests += tests/stress/stress_stack_store
tests_stress_stress_stack_store_SOURCES = tests/stress/stress_stack_store.c
tests_stress_stress_stack_store_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_stress_stress_stack_store_CFLAGS = $(AM_CFLAGS) -pthread
tests_stress_stress_stack_store_LDADD = libagent.la -lm
unit_tests += tests/stress/stress_stack_store

stress_tests += tests/stress/stress_codes
tests_stress_stress_codes_SOURCES = tests/stress/stress_codes.c
tests_stress_stress_codes_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_stress_stress_codes_CFLAGS = $(AM_CFLAGS) -pthread
tests_stress_stress_codes_LDADD = libagent.la -lm
unit_tests += tests/stress/stress_codes

stress_tests += tests/stress/stress_object_list
tests_stress_stress_object_list_SOURCES = tests/stress/stress_object_list.c
tests_stress_stress_object_list_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_stress_stress_object_list_CFLAGS = $(AM_CFLAGS) -pthread
tests_stress_stress_object_list_LDADD = libagent.la
unit_tests += tests/stress/stress_object_list

# The agent's producer and the daemon's consumer, through the same segment.
ring_stress_cppflags = $(test_cppflags) $(agent_cppflags) -I$(srcdir)/daemon
ring_stress_cflags = $(AM_CFLAGS) -pthread
ring_stress_ldadd = libagent.la libspingest.la libfakesegment.la
noinst_HEADERS += tests/stress/segment_source.h

ring_stress_tests = \
	tests/stress/stress_ring_consumer \
	tests/stress/stress_ring_consumer_mapped \
	tests/stress/stress_ring_kill
stress_tests += $(ring_stress_tests)
unit_tests += $(ring_stress_tests)

tests_stress_stress_ring_consumer_SOURCES = \
	tests/stress/stress_ring_consumer.c tests/stress/segment_by_pread.c
tests_stress_stress_ring_consumer_CPPFLAGS = $(ring_stress_cppflags)
tests_stress_stress_ring_consumer_CFLAGS = $(ring_stress_cflags)
tests_stress_stress_ring_consumer_LDADD = $(ring_stress_ldadd)

# The same for thread sanitizers.
tests_stress_stress_ring_consumer_mapped_SOURCES = \
	tests/stress/stress_ring_consumer.c tests/stress/segment_by_mapping.c
tests_stress_stress_ring_consumer_mapped_CPPFLAGS = $(ring_stress_cppflags)
tests_stress_stress_ring_consumer_mapped_CFLAGS = $(ring_stress_cflags)
tests_stress_stress_ring_consumer_mapped_LDADD = $(ring_stress_ldadd)

tests_stress_stress_ring_kill_SOURCES = \
	tests/stress/stress_ring_kill.c tests/stress/segment_by_pread.c
tests_stress_stress_ring_kill_CPPFLAGS = $(ring_stress_cppflags)
tests_stress_stress_ring_kill_CFLAGS = $(ring_stress_cflags)
tests_stress_stress_ring_kill_LDADD = $(ring_stress_ldadd)

# Both sides of a resync, the whole daemon's half of a session included.
stress_tests += tests/stress/stress_resync
unit_tests += tests/stress/stress_resync
tests_stress_stress_resync_SOURCES = \
	tests/stress/stress_resync.c \
	tests/support/fake_reading.c tests/support/fake_reading.h \
	tests/support/read_texts.c tests/support/read_texts.h \
	tests/stress/resync_daemon.c tests/stress/resync_daemon.h \
	tests/stress/resync_hooks.c tests/stress/resync_hooks.h \
	tests/stress/resync_worker.c tests/stress/resync_worker.h
tests_stress_stress_resync_CPPFLAGS = $(ring_stress_cppflags)
tests_stress_stress_resync_CFLAGS = $(ring_stress_cflags)
tests_stress_stress_resync_LDADD = libagent.la libspserver.la libspingest.la libspmodel.la libspbase.la -lm

# Steps through a program under the agent. It needs a preloadable one, so instrumented builds leave it out.
if !SANITIZED
unit_tests += tests/stress/stress_step_kill
tests_stress_stress_step_kill_SOURCES = tests/stress/stress_step_kill.c
tests_stress_stress_step_kill_CPPFLAGS = $(ring_stress_cppflags)
tests_stress_stress_step_kill_LDADD = libspingest.la
endif
