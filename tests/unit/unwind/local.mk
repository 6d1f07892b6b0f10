# Unit tests of unwind.
if SANITIZED
AM_TESTS_ENVIRONMENT += SPPROF_SANITIZED=1; export SPPROF_SANITIZED;
endif

unwind_test_cppflags = $(test_cppflags) $(agent_cppflags) -I$(srcdir)/tests/programs

# Real programs under a preload that compares our walk with libgcc's.
check_LTLIBRARIES += tests/programs/unwind_oracle.la
tests_programs_unwind_oracle_la_SOURCES = $(unwind_sources) \
	tests/programs/unwind_oracle.c tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_programs_unwind_oracle_la_CPPFLAGS = $(unwind_test_cppflags)
tests_programs_unwind_oracle_la_CFLAGS = $(agent_cflags) -fno-omit-frame-pointer -fno-optimize-sibling-calls
tests_programs_unwind_oracle_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
dist_check_SCRIPTS += tests/unit/unwind/test_oracle
