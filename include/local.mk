noinst_HEADERS += \
	include/spprof/wire/segment.h \
	include/spprof/wire/ring.h \
	include/spprof/wire/record.h \
	include/spprof/wire/map.h \
	include/spprof/wire/handshake.h
