# Wire to events; all distrust of workers lives here.
noinst_LTLIBRARIES += libspingest.la
libspingest_la_CPPFLAGS = $(daemon_cppflags)
libspingest_la_LIBADD = libspbase.la
libspingest_la_SOURCES = \
	daemon/ingest/code_decode.c daemon/ingest/code_decode.h \
	daemon/ingest/line_table.c daemon/ingest/line_table.h \
	daemon/ingest/map_decode.c daemon/ingest/map_decode.h \
	daemon/ingest/map_packet.c daemon/ingest/map_packet.h \
	daemon/ingest/map_reader.c daemon/ingest/map_reader.h \
	daemon/ingest/proc_file.c daemon/ingest/proc_file.h \
	daemon/ingest/proc_packet.c daemon/ingest/proc_packet.h \
	daemon/ingest/record_decode.c daemon/ingest/record_decode.h \
	daemon/ingest/ring_consumer.c daemon/ingest/ring_consumer.h \
	daemon/ingest/segment_map.c daemon/ingest/segment_map.h
