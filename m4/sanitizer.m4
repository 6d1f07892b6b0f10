# SPPROF_SANITIZER: --with-sanitizer=LIST, the one switch for instrumented builds.
AC_DEFUN([SPPROF_SANITIZER], [
AC_ARG_WITH([sanitizer],
  [AS_HELP_STRING([--with-sanitizer=LIST], [instrument everything, e.g. address,undefined or thread])],
  [], [with_sanitizer=no])
SANITIZER_FLAGS=
AS_IF([test "x$with_sanitizer" != xno],
  [SANITIZER_FLAGS="-fsanitize=$with_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=undefined"])
AC_SUBST([SANITIZER_FLAGS])
# A sanitized agent cannot be preloaded into an unsanitized program.
AM_CONDITIONAL([SANITIZED], [test "x$with_sanitizer" != xno])
])
