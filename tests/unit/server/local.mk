# Unit tests of server.
server_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon $(proto_cppflags) $(UV_CFLAGS)
server_test_ldadd = libspserver.la libspbase.la $(CHECK_LIBS)

unit_tests += tests/unit/server/test_api_framing
tests_unit_server_test_api_framing_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_api_framing_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_background_close
tests_unit_server_test_background_close_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_background_close_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_options
tests_unit_server_test_options_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_options_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_process
tests_unit_server_test_process_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_process_LDADD = libreadtexts.la libspserver.la libspingest.la libspbase.la $(CHECK_LIBS)

unit_tests += tests/unit/server/test_socket_dir
tests_unit_server_test_socket_dir_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_socket_dir_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_maps_text
tests_unit_server_test_maps_text_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_maps_text_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_module_file
tests_unit_server_test_module_file_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_module_file_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_module_map
tests_unit_server_test_module_map_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_module_map_LDADD = $(server_test_ldadd)


# The symbol client, with the real symbolizer and with one that misbehaves on demand.
check_PROGRAMS += tests/unit/server/fake_symbolizer tests/unit/server/fake_symbolizer_old
tests_unit_server_fake_symbolizer_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_fake_symbolizer_LDADD = libspproto.la libspbase.la
tests_unit_server_fake_symbolizer_old_SOURCES = tests/unit/server/fake_symbolizer.c
tests_unit_server_fake_symbolizer_old_CPPFLAGS = $(server_test_cppflags) -DFAKE_PROTOCOL=999
tests_unit_server_fake_symbolizer_old_LDADD = libspproto.la libspbase.la

unit_tests += tests/unit/server/test_symbol_client
tests_unit_server_test_symbol_client_SOURCES = \
	tests/unit/server/test_symbol_client.c tests/unit/server/symbol_client_fixture.h \
	tests/unit/symbolizer/places.c tests/unit/symbolizer/places.h
tests_unit_server_test_symbol_client_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_symbol_client_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_symbol_client_failures
tests_unit_server_test_symbol_client_failures_SOURCES = \
	tests/unit/server/test_symbol_client_failures.c tests/unit/server/symbol_client_fixture.h
tests_unit_server_test_symbol_client_failures_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_symbol_client_failures_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_symbol_client_bounds
tests_unit_server_test_symbol_client_bounds_SOURCES = \
	tests/unit/server/test_symbol_client_bounds.c tests/unit/server/symbol_client_fixture.h
tests_unit_server_test_symbol_client_bounds_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_symbol_client_bounds_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_debug_file
tests_unit_server_test_debug_file_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_debug_file_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_debug_search
tests_unit_server_test_debug_search_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_debug_search_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_symbol_helper
tests_unit_server_test_symbol_helper_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_symbol_helper_LDADD = $(server_test_ldadd)
dist_check_SCRIPTS += tests/unit/server/test_spprofd_options


# Everything above the layers below.
server_test_all_ldadd = libfakesegment.la libreadtexts.la libspserver.la libspexport.la libspingest.la libspmodel.la libspbase.la \
	libspproto.la $(UV_LIBS) $(CHECK_LIBS)

unit_tests += tests/unit/server/test_api_server
tests_unit_server_test_api_server_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_api_server_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_proc_walk
tests_unit_server_test_proc_walk_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_proc_walk_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_resync
tests_unit_server_test_resync_SOURCES = tests/unit/server/test_resync.c tests/unit/server/resync_machine_fixture.h
tests_unit_server_test_resync_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_resync_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_resync_reading
tests_unit_server_test_resync_reading_SOURCES = tests/unit/server/test_resync_reading.c tests/unit/server/resync_machine_fixture.h
tests_unit_server_test_resync_reading_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_resync_reading_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_resync
tests_unit_server_test_session_resync_SOURCES = tests/unit/server/test_session_resync.c tests/unit/server/resync_fixture.h
tests_unit_server_test_session_resync_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_resync_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_asleep
tests_unit_server_test_session_asleep_SOURCES = tests/unit/server/test_session_asleep.c tests/unit/server/resync_fixture.h
tests_unit_server_test_session_asleep_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_asleep_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_map_places
tests_unit_server_test_map_places_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_map_places_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_attach_scan
tests_unit_server_test_attach_scan_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_attach_scan_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_process_reader
tests_unit_server_test_process_reader_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_process_reader_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_maps
tests_unit_server_test_session_maps_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_maps_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_reading
tests_unit_server_test_session_reading_SOURCES = tests/unit/server/test_session_reading.c \
	tests/support/fake_reading.c tests/support/fake_reading.h \
	tests/support/read_texts.c tests/support/read_texts.h
tests_unit_server_test_session_reading_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_reading_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_quality
tests_unit_server_test_session_quality_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_quality_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_table
tests_unit_server_test_session_table_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_table_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_family
tests_unit_server_test_family_SOURCES = tests/unit/server/test_family.c tests/unit/server/family_fixture.h
tests_unit_server_test_family_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_family_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_family_ledger
tests_unit_server_test_family_ledger_SOURCES = tests/unit/server/test_family_ledger.c tests/unit/server/family_fixture.h
tests_unit_server_test_family_ledger_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_family_ledger_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_codes
tests_unit_server_test_session_codes_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_codes_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_sums
tests_unit_server_test_session_sums_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_sums_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_session_marks
tests_unit_server_test_session_marks_SOURCES = tests/unit/server/test_session_marks.c tests/unit/server/family_fixture.h
tests_unit_server_test_session_marks_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_session_marks_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_snapshot_draft
tests_unit_server_test_snapshot_draft_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_snapshot_draft_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_module_files
tests_unit_server_test_module_files_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_module_files_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_audit_queue
tests_unit_server_test_audit_queue_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_audit_queue_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_auditor
tests_unit_server_test_auditor_SOURCES = tests/unit/server/test_auditor.c tests/unit/server/auditor_fixture.h
tests_unit_server_test_auditor_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_auditor_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_auditor_helper
tests_unit_server_test_auditor_helper_SOURCES = tests/unit/server/test_auditor_helper.c tests/unit/server/auditor_fixture.h
tests_unit_server_test_auditor_helper_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_auditor_helper_LDADD = $(server_test_all_ldadd)

unit_tests += tests/unit/server/test_capture_confidence
tests_unit_server_test_capture_confidence_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_capture_confidence_LDADD = $(server_test_all_ldadd)
