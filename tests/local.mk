# One folder per kind of test; each adds to unit_tests (run by `make check`, TAP on stdout) or to its own list.
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER_FLAGS = --comments
# An extension of its own lets tests in Python run that are not in TESTS (check-statistics).
TEST_EXTENSIONS = .py
PY_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_DRIVER_FLAGS = $(LOG_DRIVER_FLAGS)
AM_TESTS_ENVIRONMENT += SRCDIR='$(abs_srcdir)'; BUILDDIR='$(abs_builddir)'; PYTHONDONTWRITEBYTECODE=1; \
	export SRCDIR BUILDDIR PYTHONDONTWRITEBYTECODE;

test_cppflags = -I$(builddir) -I$(srcdir)/include -I$(srcdir)/tests $(CHECK_CFLAGS)

if ENABLE_TESTS
include tests/support/local.mk
include tests/programs/local.mk
include tests/unit/agent/local.mk
include tests/unit/python/local.mk
include tests/unit/unwind/local.mk
include tests/unit/model/local.mk
include tests/unit/ingest/local.mk
include tests/unit/export/local.mk
include tests/unit/helper/local.mk
include tests/unit/symbolizer/local.mk
include tests/unit/server/local.mk
include tests/unit/clients/local.mk
include tests/integration/local.mk
include tests/python/local.mk
include tests/stress/local.mk
include tests/model/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
check_PROGRAMS += $(unit_tests)
endif
