# tests/support
noinst_HEADERS += tests/support/tap_main.h
EXTRA_DIST += tests/support/tap.py
