# Unit tests of daemon/ingest.
ingest_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon
ingest_test_ldadd = libfakesegment.la libspingest.la $(CHECK_LIBS)

unit_tests += tests/unit/ingest/test_record_decode
tests_unit_ingest_test_record_decode_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_record_decode_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_ring_consumer
tests_unit_ingest_test_ring_consumer_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_ring_consumer_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_segment_map
tests_unit_ingest_test_segment_map_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_segment_map_LDADD = $(ingest_test_ldadd)

unit_tests += tests/unit/ingest/test_map_reader
tests_unit_ingest_test_map_reader_CPPFLAGS = $(ingest_test_cppflags)
tests_unit_ingest_test_map_reader_LDADD = $(ingest_test_ldadd)
