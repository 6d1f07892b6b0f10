# tests/support
noinst_HEADERS += tests/support/tap_main.h
