# For programs that want a word with their profiler.
spprofincludedir = $(includedir)/spprof
dist_spprofinclude_HEADERS = include/spprof/spprof.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = include/spprof.pc

noinst_HEADERS += \
	include/spprof/wire/segment.h \
	include/spprof/wire/ring.h \
	include/spprof/wire/record.h \
	include/spprof/wire/map.h \
	include/spprof/wire/definitions.h \
	include/spprof/wire/handshake.h
