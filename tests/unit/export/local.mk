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

unit_tests += tests/unit/export/test_export
tests_unit_export_test_export_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_export_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_golden
tests_unit_export_test_golden_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_golden_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_human
tests_unit_export_test_human_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_human_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_pprof
tests_unit_export_test_pprof_CPPFLAGS = $(export_test_cppflags) $(proto_cppflags) $(ZLIB_CFLAGS)
tests_unit_export_test_pprof_LDADD = $(export_test_ldadd) $(PROTOBUF_C_LIBS) $(ZLIB_LIBS) -lm

unit_tests += tests/unit/export/test_rounding
tests_unit_export_test_rounding_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_rounding_LDADD = $(export_test_ldadd) -lm

unit_tests += tests/unit/export/test_text_name
tests_unit_export_test_text_name_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_text_name_LDADD = $(export_test_ldadd)

unit_tests += tests/unit/export/test_utf8
tests_unit_export_test_utf8_CPPFLAGS = $(export_test_cppflags)
tests_unit_export_test_utf8_LDADD = $(export_test_ldadd)

dist_check_SCRIPTS += tests/unit/export/check-formats
EXTRA_DIST += \
	tests/unit/export/golden/cpp-whole-stacks.txt \
	tests/unit/export/golden/cpp-wide.txt \
	tests/unit/export/golden/cpp.folded \
	tests/unit/export/golden/cpp.txt \
	tests/unit/export/golden/empty.folded \
	tests/unit/export/golden/empty.json \
	tests/unit/export/golden/empty.speedscope.json \
	tests/unit/export/golden/empty.txt \
	tests/unit/export/golden/hostile.folded \
	tests/unit/export/golden/hostile.json \
	tests/unit/export/golden/hostile.speedscope.json \
	tests/unit/export/golden/hostile.txt \
	tests/unit/export/golden/python-80.txt \
	tests/unit/export/golden/python-depth1.txt \
	tests/unit/export/golden/python-whole-stacks.txt \
	tests/unit/export/golden/python.folded \
	tests/unit/export/golden/python.json \
	tests/unit/export/golden/python.speedscope.json \
	tests/unit/export/golden/python.txt \
	tests/unit/export/golden/redis-120.txt \
	tests/unit/export/golden/redis-40.txt \
	tests/unit/export/golden/redis-80.txt \
	tests/unit/export/golden/redis-allocated.folded \
	tests/unit/export/golden/redis-allocated.txt \
	tests/unit/export/golden/redis-color.txt \
	tests/unit/export/golden/redis-depth1.txt \
	tests/unit/export/golden/redis-whole-stacks.txt \
	tests/unit/export/golden/redis-wide.txt \
	tests/unit/export/golden/redis.folded \
	tests/unit/export/golden/redis.json \
	tests/unit/export/golden/redis.speedscope.json \
	tests/unit/export/golden/trouble.folded \
	tests/unit/export/golden/trouble.json \
	tests/unit/export/golden/trouble.txt
