# tests/support
noinst_HEADERS += tests/support/adopt.h tests/support/lingering_socket.h tests/support/silent_helper.h
noinst_HEADERS += tests/support/tap_main.h tests/support/own_segment.h tests/support/random.h \
	tests/support/agent_view.h tests/support/tap_print.h
EXTRA_DIST += tests/support/tap.py tests/support/tap_unittest.py

# A worker's segment without a worker.
check_LTLIBRARIES += libfakesegment.la
libfakesegment_la_CPPFLAGS = $(test_cppflags)
libfakesegment_la_SOURCES = tests/support/fake_segment.c tests/support/fake_segment.h \
	tests/support/fake_map.c tests/support/fake_map.h

# What a process is, without a helper that reads it.
check_LTLIBRARIES += libreadtexts.la
libreadtexts_la_CPPFLAGS = $(test_cppflags) -I$(srcdir)/daemon $(UV_CFLAGS)
libreadtexts_la_SOURCES = tests/support/read_texts.c tests/support/read_texts.h

# A daemon, its workers and a client, for integration tests.
check_LTLIBRARIES += libdaemonfixture.la
libdaemonfixture_la_CPPFLAGS = $(test_cppflags) $(proto_cppflags)
libdaemonfixture_la_SOURCES = tests/support/daemon_fixture.c tests/support/daemon_fixture.h
libdaemonfixture_la_LIBADD = libspproto.la
