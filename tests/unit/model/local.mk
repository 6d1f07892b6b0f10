# Unit tests of daemon/base and daemon/model.
model_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon
model_test_ldadd = $(CHECK_LIBS)

unit_tests += tests/unit/model/test_alloc
tests_unit_model_test_alloc_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_alloc_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_arena
tests_unit_model_test_arena_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_arena_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_buffer
tests_unit_model_test_buffer_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_buffer_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_hash_index
tests_unit_model_test_hash_index_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_hash_index_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_log
tests_unit_model_test_log_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_log_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_string_pool
tests_unit_model_test_string_pool_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_string_pool_LDADD = libspbase.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_gamma
tests_unit_model_test_gamma_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_gamma_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_heap_model
tests_unit_model_test_heap_model_SOURCES = tests/unit/model/test_heap_model.c tests/unit/model/heap_fixture.h
tests_unit_model_test_heap_model_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_heap_model_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_heap_model_resync
tests_unit_model_test_heap_model_resync_SOURCES = tests/unit/model/test_heap_model_resync.c tests/unit/model/heap_fixture.h
tests_unit_model_test_heap_model_resync_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_heap_model_resync_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_heap_model_rules
tests_unit_model_test_heap_model_rules_SOURCES = tests/unit/model/test_heap_model_rules.c tests/unit/model/heap_fixture.h
tests_unit_model_test_heap_model_rules_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_heap_model_rules_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_death_memory
tests_unit_model_test_death_memory_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_death_memory_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_death_log
tests_unit_model_test_death_log_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_death_log_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_snapshot
tests_unit_model_test_snapshot_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_snapshot_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_stack_table
tests_unit_model_test_stack_table_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_stack_table_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_snapshot_bound
tests_unit_model_test_snapshot_bound_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_snapshot_bound_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_snapshot_merge
tests_unit_model_test_snapshot_merge_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_snapshot_merge_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_estimate
tests_unit_model_test_estimate_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_estimate_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_estimate_coverage
tests_unit_model_test_estimate_coverage_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_estimate_coverage_LDADD = libspmodel.la $(model_test_ldadd)

unit_tests += tests/unit/model/test_packet
tests_unit_model_test_packet_CPPFLAGS = $(model_test_cppflags)
tests_unit_model_test_packet_LDADD = libspbase.la $(model_test_ldadd)
