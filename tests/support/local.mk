# tests/support
noinst_HEADERS += tests/support/tap_main.h tests/support/own_segment.h tests/support/random.h
EXTRA_DIST += tests/support/tap.py

# A worker's segment without a worker.
check_LTLIBRARIES += libfakesegment.la
libfakesegment_la_CPPFLAGS = $(test_cppflags)
libfakesegment_la_SOURCES = tests/support/fake_segment.c tests/support/fake_segment.h
