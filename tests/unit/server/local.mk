# Unit tests of server.
server_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon $(proto_cppflags) $(UV_CFLAGS)
server_test_ldadd = libspserver.la libspbase.la $(CHECK_LIBS)

unit_tests += tests/unit/server/test_api_framing
tests_unit_server_test_api_framing_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_api_framing_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_options
tests_unit_server_test_options_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_options_LDADD = $(server_test_ldadd)

unit_tests += tests/unit/server/test_process
tests_unit_server_test_process_CPPFLAGS = $(server_test_cppflags)
tests_unit_server_test_process_LDADD = $(server_test_ldadd)

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
