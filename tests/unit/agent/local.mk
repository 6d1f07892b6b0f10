# Unit tests of the agent's modules, without hooking the test's own malloc.
agent_test_cppflags = $(test_cppflags) $(agent_cppflags)
agent_test_ldadd = libagent.la $(CHECK_LIBS) -lm

unit_tests += \
	tests/unit/agent/test_sampler \
	tests/unit/agent/test_sampler_interval \
	tests/unit/agent/test_heap_map \
	tests/unit/agent/test_stack_store \
	tests/unit/agent/test_stack_store_bounds \
	tests/unit/agent/test_bloom_filter \
	tests/unit/agent/test_settings \
	tests/unit/agent/test_reentry_guard \
	tests/unit/agent/test_announce \
	tests/unit/agent/test_mark_ring \
	tests/unit/agent/test_resync \
	tests/unit/agent/test_audit

tests_unit_agent_test_sampler_SOURCES = tests/unit/agent/test_sampler.c tests/unit/agent/sampler_fixture.h
tests_unit_agent_test_sampler_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_sampler_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_sampler_interval_SOURCES = tests/unit/agent/test_sampler_interval.c tests/unit/agent/sampler_fixture.h
tests_unit_agent_test_sampler_interval_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_sampler_interval_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_heap_map_SOURCES = tests/unit/agent/test_heap_map.c
tests_unit_agent_test_heap_map_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_heap_map_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_stack_store_SOURCES = tests/unit/agent/test_stack_store.c tests/unit/agent/stack_store_fixture.h
tests_unit_agent_test_stack_store_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_stack_store_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_stack_store_bounds_SOURCES = tests/unit/agent/test_stack_store_bounds.c tests/unit/agent/stack_store_fixture.h
tests_unit_agent_test_stack_store_bounds_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_stack_store_bounds_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_bloom_filter_SOURCES = tests/unit/agent/test_bloom_filter.c
tests_unit_agent_test_bloom_filter_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_bloom_filter_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_settings_SOURCES = tests/unit/agent/test_settings.c
tests_unit_agent_test_settings_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_settings_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_announce_SOURCES = tests/unit/agent/test_announce.c
tests_unit_agent_test_announce_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_announce_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_reentry_guard_SOURCES = tests/unit/agent/test_reentry_guard.c
tests_unit_agent_test_reentry_guard_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_reentry_guard_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_mark_ring_SOURCES = tests/unit/agent/test_mark_ring.c
tests_unit_agent_test_mark_ring_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_mark_ring_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_resync_SOURCES = tests/unit/agent/test_resync.c
tests_unit_agent_test_resync_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_resync_LDADD = $(agent_test_ldadd)
tests_unit_agent_test_audit_SOURCES = tests/unit/agent/test_audit.c
tests_unit_agent_test_audit_CPPFLAGS = $(agent_test_cppflags)
tests_unit_agent_test_audit_LDADD = $(agent_test_ldadd)
