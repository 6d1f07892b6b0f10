# SPPROF_PYTHON: where the package spprof goes. Without a Python it is not installed; nothing else needs one.
AC_DEFUN([SPPROF_PYTHON], [
AM_PATH_PYTHON([3.9], [], [PYTHON=:])
# Debian's Python looks for what is not Debian's in another folder than everybody's.
AS_IF([test "x$PYTHON" != x: && $PYTHON -c 'import sys, sysconfig; sys.exit("posix_local" not in sysconfig.get_scheme_names())'],
	[pythondir='${prefix}/lib/python'$PYTHON_VERSION/dist-packages
	pkgpythondir='${pythondir}/'$PACKAGE])
AM_CONDITIONAL([HAVE_PYTHON], [test "x$PYTHON" != x:])
])
