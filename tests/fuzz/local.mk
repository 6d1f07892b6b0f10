# Fuzz targets. `make check` replays tests/fuzz/corpus/NAME, and mutations of it, through fuzz_NAME; clang's
# -fsanitize=fuzzer takes the same source without tests/support/fuzz_main.c.
EXTRA_DIST += tests/fuzz/corpus
CLEANFILES += fuzz_*.last

check_LTLIBRARIES += libfuzzmain.la
libfuzzmain_la_CPPFLAGS = $(test_cppflags)
libfuzzmain_la_SOURCES = tests/support/fuzz_main.c

fuzz_cppflags = $(test_cppflags) -I$(srcdir)/daemon

unit_tests += tests/fuzz/fuzz_api_client
tests_fuzz_fuzz_api_client_CPPFLAGS = $(test_cppflags) -I$(srcdir)/clients $(proto_cppflags)
tests_fuzz_fuzz_api_client_LDADD = libfuzzmain.la libspclient.la

unit_tests += tests/fuzz/fuzz_maps
tests_fuzz_fuzz_maps_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_maps_LDADD = libfuzzmain.la libspserver.la libspbase.la

unit_tests += tests/fuzz/fuzz_map
tests_fuzz_fuzz_map_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_map_LDADD = libfuzzmain.la libspingest.la

unit_tests += tests/fuzz/fuzz_map_packet
tests_fuzz_fuzz_map_packet_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_map_packet_LDADD = libfuzzmain.la libspingest.la

unit_tests += tests/fuzz/fuzz_proc_packet
tests_fuzz_fuzz_proc_packet_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_proc_packet_LDADD = libfuzzmain.la libspserver.la libspbase.la

unit_tests += tests/fuzz/fuzz_record
tests_fuzz_fuzz_record_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_record_LDADD = libfuzzmain.la libspingest.la

unit_tests += tests/fuzz/fuzz_code
tests_fuzz_fuzz_code_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_code_LDADD = libfuzzmain.la libspingest.la

unit_tests += tests/fuzz/fuzz_line_table
tests_fuzz_fuzz_line_table_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_line_table_LDADD = libfuzzmain.la libspingest.la

unit_tests += tests/fuzz/fuzz_segment
tests_fuzz_fuzz_segment_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_segment_LDADD = libfuzzmain.la libfakesegment.la libspingest.la

unit_tests += tests/fuzz/fuzz_marks
tests_fuzz_fuzz_marks_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_marks_LDADD = libfuzzmain.la libfakesegment.la libspserver.la libspingest.la libspbase.la

unit_tests += tests/fuzz/fuzz_cfi
tests_fuzz_fuzz_cfi_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_fuzz_fuzz_cfi_LDADD = libfuzzmain.la libagent.la

unit_tests += tests/fuzz/fuzz_elf
tests_fuzz_fuzz_elf_CPPFLAGS = $(fuzz_cppflags) $(LIBDW_CFLAGS) $(LIBELF_CFLAGS)
tests_fuzz_fuzz_elf_LDADD = libfuzzmain.la libspsymbolizer.la libspbase.la

unit_tests += tests/fuzz/fuzz_symbol_reply
tests_fuzz_fuzz_symbol_reply_CPPFLAGS = $(fuzz_cppflags) $(proto_cppflags) $(UV_CFLAGS)
tests_fuzz_fuzz_symbol_reply_LDADD = libfuzzmain.la libspserver.la libspbase.la

unit_tests += tests/fuzz/fuzz_api_request
tests_fuzz_fuzz_api_request_CPPFLAGS = $(fuzz_cppflags) $(proto_cppflags)
tests_fuzz_fuzz_api_request_LDADD = libfuzzmain.la libspserver.la libspbase.la libspproto.la

unit_tests += tests/fuzz/fuzz_audit
tests_fuzz_fuzz_audit_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_fuzz_audit_LDADD = libfuzzmain.la libspsymbolizer.la libspbase.la

unit_tests += tests/fuzz/fuzz_audit_parts
tests_fuzz_fuzz_audit_parts_CPPFLAGS = $(fuzz_cppflags) $(proto_cppflags) $(UV_CFLAGS)
tests_fuzz_fuzz_audit_parts_LDADD = libfuzzmain.la libspserver.la libspexport.la libspingest.la libspmodel.la \
	libspbase.la libspproto.la $(UV_LIBS)
