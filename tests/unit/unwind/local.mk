# Unit tests of unwind.
if SANITIZED
AM_TESTS_ENVIRONMENT += SPPROF_SANITIZED=1; export SPPROF_SANITIZED;
endif

unwind_test_cppflags = $(test_cppflags) $(agent_cppflags) -I$(srcdir)/tests/programs
unwind_test_cflags = $(AM_CFLAGS) -fno-omit-frame-pointer -fno-optimize-sibling-calls
unwind_test_ldadd = libagent.la libunwindtruth.la $(CHECK_LIBS)

# Chains of calls that know their own truth: without frame pointers, so that only CFI can follow them.
check_LTLIBRARIES += libunwindtruth.la
libunwindtruth_la_CFLAGS = $(AM_CFLAGS) -O2 -fomit-frame-pointer
libunwindtruth_la_SOURCES = tests/programs/unwind_truth.c tests/programs/unwind_truth.h

unit_tests += tests/unit/unwind/test_cfi
tests_unit_unwind_test_cfi_SOURCES = tests/unit/unwind/test_cfi.c \
	tests/unit/unwind/cfi_object.c tests/unit/unwind/cfi_object.h
tests_unit_unwind_test_cfi_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_cfi_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_eh_frame
tests_unit_unwind_test_eh_frame_SOURCES = tests/unit/unwind/test_eh_frame.c \
	tests/unit/unwind/cfi_object.c tests/unit/unwind/cfi_object.h
tests_unit_unwind_test_eh_frame_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_eh_frame_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_rule_cache
tests_unit_unwind_test_rule_cache_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_rule_cache_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_stack_bounds
tests_unit_unwind_test_stack_bounds_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_stack_bounds_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk
tests_unit_unwind_test_walk_SOURCES = tests/unit/unwind/test_walk.c tests/unit/unwind/walk_capture.h \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_LDFLAGS = $(AM_LDFLAGS) -Wl,-z,now
tests_unit_unwind_test_walk_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_stacks
tests_unit_unwind_test_walk_stacks_SOURCES = tests/unit/unwind/test_walk_stacks.c tests/unit/unwind/walk_capture.h \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_stacks_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_stacks_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_stacks_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_guess
tests_unit_unwind_test_walk_guess_SOURCES = tests/unit/unwind/test_walk_guess.c \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_guess_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_guess_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_guess_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_coroutines
tests_unit_unwind_test_walk_coroutines_SOURCES = tests/unit/unwind/test_walk_coroutines.c tests/unit/unwind/walk_capture.h \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_coroutines_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_coroutines_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_coroutines_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_memo
tests_unit_unwind_test_walk_memo_SOURCES = tests/unit/unwind/test_walk_memo.c \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_memo_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_memo_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_memo_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_holes
tests_unit_unwind_test_walk_holes_SOURCES = tests/unit/unwind/test_walk_holes.c \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_holes_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_holes_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_holes_LDFLAGS = $(AM_LDFLAGS) -Wl,-z,separate-code -Wl,-z,max-page-size=0x200000
tests_unit_unwind_test_walk_holes_LDADD = $(unwind_test_ldadd)

# One source, two libraries whose code is alike and whose frames are not.
unwind_lib_ldflags = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_LTLIBRARIES += tests/programs/unwind_lib_small.la tests/programs/unwind_lib_large.la
tests_programs_unwind_lib_small_la_SOURCES = tests/programs/unwind_lib.c tests/programs/unwind_lib.h
tests_programs_unwind_lib_small_la_CPPFLAGS = -DUNWIND_LIB_FRAME_BYTES=264
tests_programs_unwind_lib_small_la_CFLAGS = -std=gnu11 -Wall -Wextra -O2
tests_programs_unwind_lib_small_la_LDFLAGS = $(unwind_lib_ldflags)
tests_programs_unwind_lib_large_la_SOURCES = tests/programs/unwind_lib.c tests/programs/unwind_lib.h
tests_programs_unwind_lib_large_la_CPPFLAGS = -DUNWIND_LIB_FRAME_BYTES=520
tests_programs_unwind_lib_large_la_CFLAGS = -std=gnu11 -Wall -Wextra -O2
tests_programs_unwind_lib_large_la_LDFLAGS = $(unwind_lib_ldflags)

unit_tests += tests/unit/unwind/test_walk_loader
tests_unit_unwind_test_walk_loader_SOURCES = tests/unit/unwind/test_walk_loader.c \
	tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_unit_unwind_test_walk_loader_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_loader_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_loader_LDADD = $(unwind_test_ldadd)

# The walk on a glibc that has no _dl_find_object(): by a list of objects, as everything else.
check_LTLIBRARIES += libunwindlisted.la
libunwindlisted_la_CPPFLAGS = $(agent_cppflags) -DOBJECTS_FINDER='"function_of_a_later_libc"'
libunwindlisted_la_CFLAGS = $(agent_cflags)
libunwindlisted_la_SOURCES = $(unwind_sources)
unwind_listed_ldadd = libunwindlisted.la libunwindtruth.la $(CHECK_LIBS)

unit_tests += tests/unit/unwind/test_object_list
tests_unit_unwind_test_object_list_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_object_list_LDADD = $(unwind_test_ldadd)

unit_tests += tests/unit/unwind/test_walk_listed
tests_unit_unwind_test_walk_listed_SOURCES = $(tests_unit_unwind_test_walk_SOURCES)
tests_unit_unwind_test_walk_listed_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_listed_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_listed_LDFLAGS = $(tests_unit_unwind_test_walk_LDFLAGS)
tests_unit_unwind_test_walk_listed_LDADD = $(unwind_listed_ldadd)

unit_tests += tests/unit/unwind/test_walk_loader_listed
tests_unit_unwind_test_walk_loader_listed_SOURCES = $(tests_unit_unwind_test_walk_loader_SOURCES)
tests_unit_unwind_test_walk_loader_listed_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_loader_listed_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_loader_listed_LDADD = $(unwind_listed_ldadd)

unit_tests += tests/unit/unwind/test_walk_holes_listed
tests_unit_unwind_test_walk_holes_listed_SOURCES = $(tests_unit_unwind_test_walk_holes_SOURCES)
tests_unit_unwind_test_walk_holes_listed_CPPFLAGS = $(unwind_test_cppflags)
tests_unit_unwind_test_walk_holes_listed_CFLAGS = $(unwind_test_cflags)
tests_unit_unwind_test_walk_holes_listed_LDFLAGS = $(tests_unit_unwind_test_walk_holes_LDFLAGS)
tests_unit_unwind_test_walk_holes_listed_LDADD = $(unwind_listed_ldadd)

# Real programs under a preload that compares our walk with libgcc's.
check_LTLIBRARIES += tests/programs/unwind_oracle.la
tests_programs_unwind_oracle_la_SOURCES = $(unwind_sources) \
	tests/programs/unwind_oracle.c tests/programs/unwind_judge.c tests/programs/unwind_judge.h
tests_programs_unwind_oracle_la_CPPFLAGS = $(unwind_test_cppflags)
tests_programs_unwind_oracle_la_CFLAGS = $(agent_cflags) -fno-omit-frame-pointer -fno-optimize-sibling-calls
tests_programs_unwind_oracle_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
check_LTLIBRARIES += tests/programs/unwind_oracle_listed.la
tests_programs_unwind_oracle_listed_la_SOURCES = $(tests_programs_unwind_oracle_la_SOURCES)
tests_programs_unwind_oracle_listed_la_CPPFLAGS = $(libunwindlisted_la_CPPFLAGS) $(unwind_test_cppflags)
tests_programs_unwind_oracle_listed_la_CFLAGS = $(tests_programs_unwind_oracle_la_CFLAGS)
tests_programs_unwind_oracle_listed_la_LDFLAGS = $(tests_programs_unwind_oracle_la_LDFLAGS)
dist_check_SCRIPTS += tests/unit/unwind/test_oracle
