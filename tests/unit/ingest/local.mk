# Unit tests of daemon/ingest.
ingest_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon
ingest_test_ldadd = libfakesegment.la libspingest.la $(CHECK_LIBS)

unit_tests += tests/unit/ingest/test_record_decode
tests_unit_ingest_test_record_decode_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_record_decode_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_ring_consumer
tests_unit_ingest_test_ring_consumer_SOURCES = tests/unit/ingest/test_ring_consumer.c tests/unit/ingest/consumer_fixture.h
tests_unit_ingest_test_ring_consumer_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_ring_consumer_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_ring_consumer_rounds
tests_unit_ingest_test_ring_consumer_rounds_SOURCES = tests/unit/ingest/test_ring_consumer_rounds.c tests/unit/ingest/consumer_fixture.h
tests_unit_ingest_test_ring_consumer_rounds_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_ring_consumer_rounds_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_ring_consumer_damage
tests_unit_ingest_test_ring_consumer_damage_SOURCES = tests/unit/ingest/test_ring_consumer_damage.c tests/unit/ingest/consumer_fixture.h
tests_unit_ingest_test_ring_consumer_damage_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_ring_consumer_damage_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_ring_consumer_random
tests_unit_ingest_test_ring_consumer_random_SOURCES = tests/unit/ingest/test_ring_consumer_random.c tests/unit/ingest/consumer_fixture.h
tests_unit_ingest_test_ring_consumer_random_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_ring_consumer_random_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_segment_map
tests_unit_ingest_test_segment_map_SOURCES = tests/unit/ingest/test_segment_map.c tests/unit/ingest/segment_map_fixture.h
tests_unit_ingest_test_segment_map_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_segment_map_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_segment_map_refusals
tests_unit_ingest_test_segment_map_refusals_SOURCES = tests/unit/ingest/test_segment_map_refusals.c tests/unit/ingest/segment_map_fixture.h
tests_unit_ingest_test_segment_map_refusals_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_segment_map_refusals_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_map_reader
tests_unit_ingest_test_map_reader_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_map_reader_LDADD = $(ingest_test_ldadd)

# Lines of Python's instructions, against what CPython says: line_tables.txt, and whatever interpreters are here.
line_samples = tests/unit/ingest/line_samples.c tests/unit/ingest/line_samples.h
unit_tests += tests/unit/ingest/test_line_table
tests_unit_ingest_test_line_table_SOURCES = tests/unit/ingest/test_line_table.c $(line_samples)
tests_unit_ingest_test_line_table_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_line_table_LDADD = $(ingest_test_ldadd)
check_PROGRAMS += tests/unit/ingest/compare_lines
tests_unit_ingest_compare_lines_SOURCES = tests/unit/ingest/compare_lines.c $(line_samples)
tests_unit_ingest_compare_lines_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_compare_lines_LDADD = $(ingest_test_ldadd)
dist_check_SCRIPTS += tests/unit/ingest/test_python_lines
EXTRA_DIST += tests/unit/ingest/line_tables.txt tests/support/dump_lines.py

unit_tests += tests/unit/ingest/test_code_decode
tests_unit_ingest_test_code_decode_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_code_decode_LDADD = $(ingest_test_ldadd)
