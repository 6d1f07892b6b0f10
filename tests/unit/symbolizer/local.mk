# Unit tests of the symbolizer, with a program that knows what should be found in it.
symbolizer_test_cppflags = $(test_cppflags) -I$(srcdir)/daemon $(proto_cppflags) $(LIBDW_CFLAGS) $(LIBELF_CFLAGS)
symbolizer_test_ldadd = libspsymbolizer.la libspbase.la $(CHECK_LIBS)
symbolizer_places = tests/unit/symbolizer/places.c tests/unit/symbolizer/places.h

# Not sanitized: it is data here.
symbolizer_fixture = \
	tests/unit/symbolizer/fixture/place.c tests/unit/symbolizer/fixture/place.h \
	tests/unit/symbolizer/fixture/place_c.c tests/unit/symbolizer/fixture/place_cxx.cc
check_PROGRAMS += tests/unit/symbolizer/fixture-pie tests/unit/symbolizer/fixture-exec
tests_unit_symbolizer_fixture_pie_SOURCES = $(symbolizer_fixture)
tests_unit_symbolizer_fixture_pie_CFLAGS = -Wall -Wextra -g -O2 -fPIE
tests_unit_symbolizer_fixture_pie_CXXFLAGS = -Wall -Wextra -g -O2 -fPIE
tests_unit_symbolizer_fixture_pie_LDFLAGS = -pie -rdynamic -Wl,--build-id
tests_unit_symbolizer_fixture_exec_SOURCES = $(symbolizer_fixture)
tests_unit_symbolizer_fixture_exec_CFLAGS = -Wall -Wextra -g -gdwarf-4 -O2 -fno-pie
tests_unit_symbolizer_fixture_exec_CXXFLAGS = -Wall -Wextra -g -gdwarf-4 -O2 -fno-pie
tests_unit_symbolizer_fixture_exec_LDFLAGS = -no-pie -rdynamic -Wl,--build-id

EXTRA_DIST += tests/unit/symbolizer/fixture/make-variants
symbolizer_variants = $(addprefix tests/unit/symbolizer/variants/, full stripped linked linked.debug no-aranges \
	compressed anonymous anonymous-full anonymous.debug mini mini.symbols mini.symbols.xz \
	shared shared-too common.debug)
check_DATA += tests/unit/symbolizer/variants.stamp
CLEANFILES += tests/unit/symbolizer/variants.stamp $(symbolizer_variants)
tests/unit/symbolizer/variants.stamp: tests/unit/symbolizer/fixture-pie$(EXEEXT) tests/unit/symbolizer/fixture/make-variants
	$(AM_V_GEN)OBJCOPY='$(OBJCOPY)' STRIP='$(STRIP)' $(srcdir)/tests/unit/symbolizer/fixture/make-variants \
		tests/unit/symbolizer/fixture-pie$(EXEEXT) tests/unit/symbolizer/variants 2>$@.log || { cat $@.log >&2; exit 1; }
	$(AM_V_at)rm -f $@.log && touch $@

unit_tests += tests/unit/symbolizer/test_demangle
tests_unit_symbolizer_test_demangle_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_demangle_LDADD = $(symbolizer_test_ldadd)

unit_tests += tests/unit/symbolizer/test_elf_file
tests_unit_symbolizer_test_elf_file_SOURCES = tests/unit/symbolizer/test_elf_file.c $(symbolizer_places)
tests_unit_symbolizer_test_elf_file_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_elf_file_LDADD = $(symbolizer_test_ldadd)

unit_tests += tests/unit/symbolizer/test_elf_mutations
tests_unit_symbolizer_test_elf_mutations_SOURCES = tests/unit/symbolizer/test_elf_mutations.c $(symbolizer_places)
tests_unit_symbolizer_test_elf_mutations_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_elf_mutations_LDADD = $(symbolizer_test_ldadd)

unit_tests += tests/unit/symbolizer/test_ranges
tests_unit_symbolizer_test_ranges_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_ranges_LDADD = $(symbolizer_test_ldadd)

unit_tests += tests/unit/symbolizer/test_service
tests_unit_symbolizer_test_service_SOURCES = tests/unit/symbolizer/test_service.c $(symbolizer_places)
tests_unit_symbolizer_test_service_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_service_LDADD = $(symbolizer_test_ldadd)

# The same on a machine where everything takes long: each answer goes out at once.
unit_tests += tests/unit/symbolizer/test_service_slow
tests_unit_symbolizer_test_service_slow_SOURCES = tests/unit/symbolizer/test_service.c daemon/symbolizer/service.c \
	$(symbolizer_places)
tests_unit_symbolizer_test_service_slow_CPPFLAGS = $(symbolizer_test_cppflags) -DFLUSH_MS=0
tests_unit_symbolizer_test_service_slow_LDADD = $(symbolizer_test_ldadd)

unit_tests += tests/unit/symbolizer/test_audit_memory
tests_unit_symbolizer_test_audit_memory_CPPFLAGS = $(symbolizer_test_cppflags)
tests_unit_symbolizer_test_audit_memory_LDADD = $(symbolizer_test_ldadd)

# Its own stack is what it looks at: the leaf must have a frame pointer.
unit_tests += tests/unit/symbolizer/test_audit
tests_unit_symbolizer_test_audit_CPPFLAGS = $(symbolizer_test_cppflags) -I$(srcdir)/tests/programs
tests_unit_symbolizer_test_audit_CFLAGS = $(AM_CFLAGS) -fno-omit-frame-pointer -fno-optimize-sibling-calls -fexceptions
tests_unit_symbolizer_test_audit_LDADD = libunwindtruth.la $(symbolizer_test_ldadd)
