# Unit tests of daemon/helper.
unit_tests += tests/unit/helper/test_sandbox
tests_unit_helper_test_sandbox_CPPFLAGS = $(test_cppflags) -I$(srcdir)/daemon
tests_unit_helper_test_sandbox_LDADD = libsphelper.la $(CHECK_LIBS)
