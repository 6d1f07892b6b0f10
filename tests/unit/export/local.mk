# Unit tests of daemon/export.
export_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon -I$(srcdir)/tests/unit/export
export_test_ldadd = libexportfixture.la libspexport.la libspmodel.la $(CHECK_LIBS)

check_LTLIBRARIES += libexportfixture.la
libexportfixture_la_SOURCES = \
	tests/unit/export/fixture.c tests/unit/export/fixture.h tests/unit/export/fixture_data.c
libexportfixture_la_CPPFLAGS = $(export_test_cppflags)

check_PROGRAMS += tests/unit/export/print_fixture
tests_unit_export_print_fixture_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_print_fixture_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_human
tests_unit_export_test_human_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_human_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_rounding
tests_unit_export_test_rounding_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_rounding_LDADD = $(export_test_ldadd) -lm

unit_tests += tests/unit/export/test_text_name
tests_unit_export_test_text_name_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_text_name_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_utf8
tests_unit_export_test_utf8_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_utf8_LDADD = $(export_test_ldadd)
