# tests/bench
#
# Programs and scripts that are run by hand and by `make check-long`; tests/integration bounds what can be counted.

check_PROGRAMS += tests/bench/hot_loop
tests_bench_hot_loop_SOURCES = tests/bench/hot_loop.c
tests_bench_hot_loop_CFLAGS = $(AM_CFLAGS) -O2 -fno-builtin -pthread

check_PROGRAMS += tests/bench/sample_cost
tests_bench_sample_cost_SOURCES = tests/bench/sample_cost.c
tests_bench_sample_cost_CFLAGS = $(AM_CFLAGS) -O2 -fno-builtin

check_PROGRAMS += tests/bench/large_heap
tests_bench_large_heap_SOURCES = tests/bench/large_heap.c
tests_bench_large_heap_CFLAGS = $(AM_CFLAGS) -O2 -fno-builtin

check_PROGRAMS += tests/bench/stl_churn
tests_bench_stl_churn_SOURCES = tests/bench/stl_churn.cpp
tests_bench_stl_churn_CXXFLAGS = -std=c++17 -O2 -Wall -Wextra $(SANITIZER_FLAGS)

if !SANITIZED
check_LTLIBRARIES += tests/bench/libempty-forwarder.la
tests_bench_libempty_forwarder_la_SOURCES = tests/bench/empty_forwarder.c
tests_bench_libempty_forwarder_la_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_libempty_forwarder_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
endif

check_PROGRAMS += tests/bench/bench_walk
tests_bench_bench_walk_SOURCES = tests/bench/bench_walk.c tests/programs/unwind_judge.h
tests_bench_bench_walk_CPPFLAGS = $(unwind_test_cppflags)
tests_bench_bench_walk_CFLAGS = $(unwind_test_cflags)
tests_bench_bench_walk_LDADD = libagent.la libunwindtruth.la
EXTRA_DIST += tests/bench/overhead.py

check_PROGRAMS += tests/bench/bench_stack_store
tests_bench_bench_stack_store_SOURCES = tests/bench/bench_stack_store.c
tests_bench_bench_stack_store_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_bench_bench_stack_store_LDADD = libagent.la -lm


# bench_symbolizer spprof-symbolizer FILE...
check_PROGRAMS += tests/bench/bench_symbolizer
tests_bench_bench_symbolizer_CPPFLAGS = $(server_test_cppflags)
tests_bench_bench_symbolizer_LDADD = $(server_test_ldadd)

# bench_heap_map [MILLIONS]
check_PROGRAMS += tests/bench/bench_heap_map
tests_bench_bench_heap_map_CPPFLAGS = $(test_cppflags) $(agent_cppflags)
tests_bench_bench_heap_map_LDADD = libagent.la

EXTRA_DIST += \
	tests/bench/measured.py \
	tests/bench/free_cost.py \
	tests/bench/sample_cost.py \
	tests/bench/sampling_work.py \
	tests/bench/many_workers.py \
	tests/bench/memory.py \
	tests/bench/peers.py \
	tests/bench/python_objects.py \
	tests/bench/python_sample.py
