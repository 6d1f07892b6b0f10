# tests/programs

check_PROGRAMS += tests/programs/alloc_family tests/programs/new_forms
tests_programs_alloc_family_SOURCES = tests/programs/alloc_family.c
tests_programs_alloc_family_CFLAGS = $(AM_CFLAGS) -fno-builtin -Wno-unknown-warning-option -Wno-alloc-size-larger-than -pthread
tests_programs_alloc_family_LDADD = -lm
tests_programs_new_forms_SOURCES = tests/programs/new_forms.cpp
tests_programs_new_forms_CXXFLAGS = -std=c++17 -fsized-deallocation -Wall -Wextra $(SANITIZER_FLAGS) -pthread

# The truth that estimates are compared with: a program that knows, and a preload that counts.
check_PROGRAMS += tests/programs/ground_truth
tests_programs_ground_truth_SOURCES = tests/programs/ground_truth.c
tests_programs_ground_truth_CFLAGS = $(AM_CFLAGS) -O1 -fno-builtin -fno-optimize-sibling-calls -pthread
tests_programs_ground_truth_LDADD = -lm

check_LTLIBRARIES += tests/programs/libcount-preload.la
tests_programs_libcount_preload_la_SOURCES = tests/programs/count_preload.c tests/programs/count_preload.h
tests_programs_libcount_preload_la_CPPFLAGS = -I$(srcdir)/tests
tests_programs_libcount_preload_la_CFLAGS = $(AM_CFLAGS) -ftls-model=initial-exec -fno-builtin -pthread
# -rpath makes libtool build a module although it is not installed.
tests_programs_libcount_preload_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere

check_PROGRAMS += \
	tests/programs/early_life tests/programs/own_allocator \
	tests/programs/count_new tests/programs/locked_down
tests_programs_early_life_SOURCES = tests/programs/early_life.c
tests_programs_early_life_LDFLAGS = $(AM_LDFLAGS) -pthread
tests_programs_own_allocator_SOURCES = tests/programs/own_allocator.c
tests_programs_own_allocator_CFLAGS = $(AM_CFLAGS) -fvisibility=default -fno-builtin
tests_programs_own_allocator_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_count_new_SOURCES = tests/programs/count_new.c
tests_programs_count_new_CPPFLAGS = -I$(srcdir)/include
tests_programs_count_new_CFLAGS = $(AM_CFLAGS) -fno-builtin
tests_programs_count_new_LDADD = -lstdc++
tests_programs_locked_down_SOURCES = tests/programs/locked_down.c
tests_programs_locked_down_CFLAGS = $(AM_CFLAGS) -fno-builtin -pthread
# A worker without an agent, for tests of the daemon.
check_PROGRAMS += tests/programs/fake_worker
tests_programs_fake_worker_CPPFLAGS = $(test_cppflags)
tests_programs_fake_worker_CFLAGS = $(AM_CFLAGS) -fno-omit-frame-pointer
tests_programs_fake_worker_LDADD = libfakesegment.la

# Programs that control their profiler.
check_PROGRAMS += tests/programs/controlled tests/programs/controlled_no_pie tests/programs/controlled_cxx
tests_programs_controlled_SOURCES = tests/programs/controlled.c
tests_programs_controlled_CPPFLAGS = -I$(srcdir)/include
tests_programs_controlled_CFLAGS = $(AM_CFLAGS) -fno-builtin -pthread
tests_programs_controlled_no_pie_SOURCES = tests/programs/controlled.c
tests_programs_controlled_no_pie_CPPFLAGS = -I$(srcdir)/include
tests_programs_controlled_no_pie_CFLAGS = $(AM_CFLAGS) -fno-builtin -pthread -fno-pie
tests_programs_controlled_no_pie_LDFLAGS = $(AM_LDFLAGS) -no-pie
tests_programs_controlled_cxx_SOURCES = tests/programs/controlled.cpp
tests_programs_controlled_cxx_CPPFLAGS = -I$(srcdir)/include

# A program that allocates as it is told, and knows what is live.
check_PROGRAMS += tests/programs/steered
tests_programs_steered_SOURCES = tests/programs/steered.c
tests_programs_steered_CFLAGS = $(AM_CFLAGS) -O1 -fno-builtin -fno-optimize-sibling-calls -pthread
