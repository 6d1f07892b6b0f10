# tests/programs
program_cppflags = -I$(srcdir)/include -I$(srcdir)/tests

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

# And one that refuses.
check_LTLIBRARIES += tests/programs/librefuse-preload.la
tests_programs_librefuse_preload_la_SOURCES = tests/programs/refuse_preload.c
tests_programs_librefuse_preload_la_CFLAGS = $(AM_CFLAGS) -fno-builtin
tests_programs_librefuse_preload_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere

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
tests_programs_steered_CPPFLAGS = -I$(srcdir)/include
tests_programs_steered_CFLAGS = $(AM_CFLAGS) -O1 -fno-builtin -fno-optimize-sibling-calls -pthread

# What the agent must not harm (tests/integration/test_harmless.py), and what these need beside them.
check_PROGRAMS += \
	tests/programs/bootstrap_blocks tests/programs/confined tests/programs/left_hooks \
	tests/programs/many_threads tests/programs/plugin_host tests/programs/reused_descriptors \
	tests/programs/small_stacks tests/programs/step_victim tests/programs/tracked_exactly \
	tests/programs/unseen
EXTRA_DIST += tests/programs/other_libc.c

# Built by tests/integration/test_aarch64.sh itself.
EXTRA_DIST += tests/programs/unwind_cross.c

# Its libraries come from tests/unit/unwind.
check_PROGRAMS += tests/programs/unwind_sampled
tests_programs_unwind_sampled_SOURCES = tests/programs/unwind_sampled.c
tests_programs_unwind_sampled_CPPFLAGS = $(program_cppflags)
tests_programs_unwind_sampled_CFLAGS = $(AM_CFLAGS) -O2 -fno-builtin -fno-optimize-sibling-calls -pthread
tests_programs_unwind_sampled_LDFLAGS = $(AM_LDFLAGS) -Wl,--enable-new-dtags -Wl,-rpath,'$$ORIGIN/.libs'
tests_programs_unwind_sampled_LDADD = libunwindtruth.la
harmless_cflags = $(AM_CFLAGS) -fno-builtin -pthread

tests_programs_bootstrap_blocks_SOURCES = tests/programs/bootstrap_blocks.c
tests_programs_bootstrap_blocks_CPPFLAGS = $(program_cppflags)
tests_programs_bootstrap_blocks_CFLAGS = $(harmless_cflags)
tests_programs_bootstrap_blocks_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_confined_SOURCES = tests/programs/confined.c
tests_programs_confined_CPPFLAGS = $(program_cppflags)
tests_programs_confined_CFLAGS = $(harmless_cflags)
tests_programs_left_hooks_SOURCES = tests/programs/left_hooks.c
tests_programs_left_hooks_CPPFLAGS = $(program_cppflags)
tests_programs_left_hooks_CFLAGS = $(harmless_cflags)
tests_programs_many_threads_SOURCES = tests/programs/many_threads.c
tests_programs_many_threads_CPPFLAGS = $(program_cppflags)
tests_programs_many_threads_CFLAGS = $(harmless_cflags)
tests_programs_plugin_host_SOURCES = tests/programs/plugin_host.c
tests_programs_plugin_host_CPPFLAGS = $(program_cppflags)
tests_programs_plugin_host_CFLAGS = $(harmless_cflags)
tests_programs_reused_descriptors_SOURCES = tests/programs/reused_descriptors.c
tests_programs_reused_descriptors_CPPFLAGS = $(program_cppflags)
tests_programs_reused_descriptors_CFLAGS = $(harmless_cflags)
tests_programs_small_stacks_SOURCES = tests/programs/small_stacks.c
tests_programs_small_stacks_CPPFLAGS = $(program_cppflags)
tests_programs_small_stacks_CFLAGS = $(harmless_cflags)
tests_programs_step_victim_SOURCES = tests/programs/step_victim.c
tests_programs_step_victim_CPPFLAGS = $(program_cppflags)
tests_programs_step_victim_CFLAGS = $(harmless_cflags)
tests_programs_unseen_SOURCES = tests/programs/unseen.c
tests_programs_unseen_CPPFLAGS = $(program_cppflags)
tests_programs_unseen_CFLAGS = $(harmless_cflags)
tests_programs_unseen_LDADD = -lm

# With libc's allocator, and linked with each other that is here.
tracked_sources = tests/programs/tracked_exactly.c tests/programs/tracked_new.cpp tests/programs/tracked_new.h
tracked_cxxflags = -std=c++17 -fsized-deallocation -fno-builtin -Wall -Wextra $(SANITIZER_FLAGS) -pthread
tests_programs_tracked_exactly_SOURCES = $(tracked_sources)
tests_programs_tracked_exactly_CPPFLAGS = $(program_cppflags)
tests_programs_tracked_exactly_CFLAGS = $(harmless_cflags)
tests_programs_tracked_exactly_CXXFLAGS = $(tracked_cxxflags)
if HAVE_JEMALLOC
check_PROGRAMS += tests/programs/tracked_exactly_jemalloc
tests_programs_tracked_exactly_jemalloc_SOURCES = $(tracked_sources)
tests_programs_tracked_exactly_jemalloc_CPPFLAGS = $(program_cppflags)
tests_programs_tracked_exactly_jemalloc_CFLAGS = $(harmless_cflags)
tests_programs_tracked_exactly_jemalloc_CXXFLAGS = $(tracked_cxxflags)
tests_programs_tracked_exactly_jemalloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--no-as-needed
tests_programs_tracked_exactly_jemalloc_LDADD = -ljemalloc
endif
if HAVE_TCMALLOC
check_PROGRAMS += tests/programs/tracked_exactly_tcmalloc
tests_programs_tracked_exactly_tcmalloc_SOURCES = $(tracked_sources)
tests_programs_tracked_exactly_tcmalloc_CPPFLAGS = $(program_cppflags)
tests_programs_tracked_exactly_tcmalloc_CFLAGS = $(harmless_cflags)
tests_programs_tracked_exactly_tcmalloc_CXXFLAGS = $(tracked_cxxflags)
tests_programs_tracked_exactly_tcmalloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--no-as-needed
tests_programs_tracked_exactly_tcmalloc_LDADD = -ltcmalloc
endif
if HAVE_MIMALLOC
check_PROGRAMS += tests/programs/tracked_exactly_mimalloc
tests_programs_tracked_exactly_mimalloc_SOURCES = $(tracked_sources)
tests_programs_tracked_exactly_mimalloc_CPPFLAGS = $(program_cppflags)
tests_programs_tracked_exactly_mimalloc_CFLAGS = $(harmless_cflags)
tests_programs_tracked_exactly_mimalloc_CXXFLAGS = $(tracked_cxxflags)
tests_programs_tracked_exactly_mimalloc_LDFLAGS = $(AM_LDFLAGS) -Wl,--no-as-needed
tests_programs_tracked_exactly_mimalloc_LDADD = -lmimalloc
endif

# -rpath makes libtool build modules although they are not installed.
check_LTLIBRARIES += \
	tests/programs/libbump-allocator.la tests/programs/libplugin-small.la tests/programs/libplugin-large.la
module_ldflags = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
tests_programs_libbump_allocator_la_SOURCES = tests/programs/bump_allocator.c
tests_programs_libbump_allocator_la_CFLAGS = $(AM_CFLAGS) -fno-builtin
tests_programs_libbump_allocator_la_LDFLAGS = $(module_ldflags)
plugin_cxxflags = -fno-builtin -Wall -Wextra $(SANITIZER_FLAGS)
tests_programs_libplugin_small_la_SOURCES = tests/programs/plugin.cpp
tests_programs_libplugin_small_la_CPPFLAGS = -DPLUGIN_FRAME=100
tests_programs_libplugin_small_la_CXXFLAGS = $(plugin_cxxflags)
tests_programs_libplugin_small_la_LDFLAGS = $(module_ldflags)
tests_programs_libplugin_large_la_SOURCES = tests/programs/plugin.cpp
tests_programs_libplugin_large_la_CPPFLAGS = -DPLUGIN_FRAME=1000
tests_programs_libplugin_large_la_CXXFLAGS = $(plugin_cxxflags)
tests_programs_libplugin_large_la_LDFLAGS = $(module_ldflags)

check_PROGRAMS += tests/programs/python_embedder
tests_programs_python_embedder_SOURCES = tests/programs/python_embedder.c

other_pythons = tests/programs/other_pypy tests/programs/other_debug_build tests/programs/other_pre_release \
	tests/programs/other_new_version tests/programs/other_old_version
check_PROGRAMS += $(other_pythons)
tests_programs_other_pypy_SOURCES = tests/programs/other_python.c
tests_programs_other_pypy_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_other_debug_build_SOURCES = tests/programs/other_python.c
tests_programs_other_debug_build_CPPFLAGS = -DPRETENDED=0x030b07f0
tests_programs_other_debug_build_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_other_pre_release_SOURCES = tests/programs/other_python.c
tests_programs_other_pre_release_CPPFLAGS = -DPRETENDED=0x030e00c2
tests_programs_other_pre_release_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_other_new_version_SOURCES = tests/programs/other_python.c
tests_programs_other_new_version_CPPFLAGS = -DPRETENDED=0x030f00f0
tests_programs_other_new_version_LDFLAGS = $(AM_LDFLAGS) -rdynamic
tests_programs_other_old_version_SOURCES = tests/programs/other_python.c
tests_programs_other_old_version_CPPFLAGS = -DPRETENDED=0x030812f0
tests_programs_other_old_version_LDFLAGS = $(AM_LDFLAGS) -rdynamic
