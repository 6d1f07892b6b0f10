# Unit tests of clients. Those of whole programs run what lies in the build tree.
clients_test_cppflags = $(test_cppflags) -I$(srcdir)/clients $(proto_cppflags)
clients_test_ldadd = libspctl.la $(CHECK_LIBS)
clients_fake_server = tests/unit/clients/fake_server.c tests/unit/clients/fake_server.h
clients_program = tests/unit/clients/program.c tests/unit/clients/program.h

unit_tests += tests/unit/clients/test_quantity
tests_unit_clients_test_quantity_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_quantity_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_format
tests_unit_clients_test_format_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_format_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_json
tests_unit_clients_test_json_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_json_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_output
tests_unit_clients_test_output_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_output_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_socket_dir
tests_unit_clients_test_socket_dir_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_socket_dir_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_api_client
tests_unit_clients_test_api_client_SOURCES = tests/unit/clients/test_api_client.c $(clients_fake_server)
tests_unit_clients_test_api_client_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_api_client_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_spprofctl
tests_unit_clients_test_spprofctl_SOURCES = \
	tests/unit/clients/test_spprofctl.c tests/unit/clients/spprofctl_fixture.h $(clients_fake_server) $(clients_program)
tests_unit_clients_test_spprofctl_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_spprofctl_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_spprofctl_snapshot
tests_unit_clients_test_spprofctl_snapshot_SOURCES = \
	tests/unit/clients/test_spprofctl_snapshot.c tests/unit/clients/spprofctl_fixture.h $(clients_fake_server) $(clients_program)
tests_unit_clients_test_spprofctl_snapshot_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_spprofctl_snapshot_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_preload
tests_unit_clients_test_preload_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_preload_LDADD = $(clients_test_ldadd)

unit_tests += tests/unit/clients/test_run
tests_unit_clients_test_run_SOURCES = tests/unit/clients/test_run.c $(clients_fake_server) $(clients_program)
tests_unit_clients_test_run_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_test_run_LDADD = $(clients_test_ldadd)

# Found by spprofctl through SPPROF_BINDIR, hence its name.
check_PROGRAMS += tests/unit/clients/spprofd
tests_unit_clients_spprofd_SOURCES = tests/unit/clients/stub_spprofd.c $(clients_fake_server)
tests_unit_clients_spprofd_CPPFLAGS = $(clients_test_cppflags)
tests_unit_clients_spprofd_LDADD = libspclient.la -lpthread

dist_check_SCRIPTS += tests/unit/clients/test_options
