# SPPROF_LIBRARIES: what the daemon, the symbolizer and the clients link. The agent links libc alone.
AC_DEFUN([SPPROF_LIBRARIES], [
PKG_CHECK_MODULES([UV], [libuv >= 1.44])
PKG_CHECK_MODULES([PROTOBUF_C], [libprotobuf-c >= 1.4])
AC_PATH_PROG([PROTOC_C], [protoc-c], [no])
AS_IF([test "x$PROTOC_C" = xno], [AC_MSG_ERROR([protoc-c is missing: apt-get install protobuf-c-compiler])])
PKG_CHECK_MODULES([XXHASH], [libxxhash >= 0.8])
PKG_CHECK_MODULES([ZLIB], [zlib])
PKG_CHECK_MODULES([SMARTCOLS], [smartcols >= 2.38])
PKG_CHECK_MODULES([LIBDW], [libdw >= 0.188])
PKG_CHECK_MODULES([LIBELF], [libelf >= 0.188])
PKG_CHECK_MODULES([SECCOMP], [libseccomp >= 2.5])
# libiberty ships no .pc file; Debian keeps its header in a folder of its own.
AC_CHECK_HEADERS([libiberty/demangle.h], [], [AC_MSG_ERROR([libiberty's demangle.h is missing: apt-get install libiberty-dev])])
AC_SUBST([IBERTY_LIBS], [-liberty])
AC_ARG_ENABLE([tests], [AS_HELP_STRING([--disable-tests], [skip the test suite])], [], [enable_tests=yes])
AS_IF([test "x$enable_tests" = xyes], [PKG_CHECK_MODULES([CHECK], [check >= 0.15])])
AM_CONDITIONAL([ENABLE_TESTS], [test "x$enable_tests" = xyes])
])
