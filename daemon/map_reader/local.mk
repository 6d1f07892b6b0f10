# The helper that reads idle workers' memory: its loop in a convenience library, so that tests link it.
noinst_LTLIBRARIES += libspreader.la
libspreader_la_CPPFLAGS = $(daemon_cppflags)
libspreader_la_LIBADD = libspingest.la libspbase.la
libspreader_la_SOURCES = daemon/map_reader/reader_service.c daemon/map_reader/reader_service.h

pkglibexec_PROGRAMS += spprof-map-reader
spprof_map_reader_CPPFLAGS = $(daemon_cppflags)
spprof_map_reader_SOURCES = daemon/map_reader/main.c
spprof_map_reader_LDADD = libspreader.la libsphelper.la
