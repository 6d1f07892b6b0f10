# The helper that reads what a process's owner can make wait: its loop in a convenience library, so that tests link it.
noinst_LTLIBRARIES += libspprocreader.la
libspprocreader_la_CPPFLAGS = $(daemon_cppflags)
libspprocreader_la_LIBADD = libspingest.la libspbase.la
libspprocreader_la_SOURCES = daemon/proc_reader/proc_service.c daemon/proc_reader/proc_service.h

pkglibexec_PROGRAMS += spprof-proc-reader
spprof_proc_reader_CPPFLAGS = $(daemon_cppflags)
spprof_proc_reader_SOURCES = daemon/proc_reader/main.c
spprof_proc_reader_LDADD = libspprocreader.la libsphelper.la
