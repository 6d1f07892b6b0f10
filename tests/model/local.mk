# Protocols as explored models. Always optimized: the search is all that it does.
announce_model_sources = tests/model/announce_model.c tests/model/announce_model.h tests/model/announce_step.h \
	tests/model/announce_heap.c tests/model/announce_protocol.c tests/model/announce_resync.c \
	tests/model/announce_daemon.c tests/model/announce_daemon.h tests/model/announce_state.c tests/model/announce_state.h \
	tests/model/store_buffer.c tests/model/store_buffer.h tests/model/explore.c tests/model/explore.h

unit_tests += tests/model/test_announce_model
tests_model_test_announce_model_SOURCES = tests/model/test_announce_model.c $(announce_model_sources)
tests_model_test_announce_model_CPPFLAGS = $(test_cppflags)
tests_model_test_announce_model_CFLAGS = $(AM_CFLAGS) -O2
tests_model_test_announce_model_LDADD = $(CHECK_LIBS)

unit_tests += tests/model/test_stack_store_model
tests_model_test_stack_store_model_SOURCES = tests/model/test_stack_store_model.c \
	tests/model/stack_store_model.c tests/model/stack_store_model.h tests/model/explore.c tests/model/explore.h
tests_model_test_stack_store_model_CPPFLAGS = $(test_cppflags)
tests_model_test_stack_store_model_CFLAGS = $(AM_CFLAGS) -O2
tests_model_test_stack_store_model_LDADD = $(CHECK_LIBS)

unit_tests += tests/model/test_resync_model
tests_model_test_resync_model_SOURCES = tests/model/test_resync_model.c $(announce_model_sources)
tests_model_test_resync_model_CPPFLAGS = $(test_cppflags)
tests_model_test_resync_model_CFLAGS = $(AM_CFLAGS) -O2
tests_model_test_resync_model_LDADD = $(CHECK_LIBS)

unit_tests += tests/model/test_filter_model
tests_model_test_filter_model_SOURCES = tests/model/test_filter_model.c \
	tests/model/filter_model.c tests/model/filter_model.h tests/model/filter_state.c tests/model/filter_state.h \
	tests/model/store_buffer.c tests/model/store_buffer.h tests/model/explore.c tests/model/explore.h
tests_model_test_filter_model_CPPFLAGS = $(test_cppflags)
tests_model_test_filter_model_CFLAGS = $(AM_CFLAGS) -O2
tests_model_test_filter_model_LDADD = $(CHECK_LIBS)
