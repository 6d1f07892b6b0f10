# What the daemon's helper processes share.
noinst_LTLIBRARIES += libsphelper.la
libsphelper_la_CPPFLAGS = $(daemon_cppflags) $(SECCOMP_CFLAGS)
libsphelper_la_LIBADD = libspbase.la $(SECCOMP_LIBS)
libsphelper_la_SOURCES = \
	daemon/helper/helper_start.c daemon/helper/helper_start.h \
	daemon/helper/sandbox.c daemon/helper/sandbox.h
