# daemon/export: encoders of snapshots; pprof's message definitions are theirs alone.
EXTRA_DIST += proto/pprof/profile.proto
BUILT_SOURCES += proto/pprof/profile.pb-c.h

noinst_LTLIBRARIES += libspexport.la
libspexport_la_SOURCES = \
	daemon/export/collapsed.c daemon/export/collapsed.h \
	daemon/export/describe.c daemon/export/describe.h \
	daemon/export/export.c daemon/export/export.h \
	daemon/export/frames.c daemon/export/frames.h \
	daemon/export/gzip.c daemon/export/gzip.h \
	daemon/export/human.c daemon/export/human.h \
	daemon/export/json.c daemon/export/json.h \
	daemon/export/json_writer.c daemon/export/json_writer.h \
	daemon/export/key_set.c daemon/export/key_set.h \
	daemon/export/pprof.c daemon/export/pprof.h \
	daemon/export/rounding.c daemon/export/rounding.h \
	daemon/export/speedscope.c daemon/export/speedscope.h \
	daemon/export/text.c daemon/export/text.h \
	daemon/export/text_name.c daemon/export/text_name.h \
	daemon/export/text_notes.c daemon/export/text_notes.h \
	daemon/export/text_sites.c daemon/export/text_sites.h \
	daemon/export/text_table.c daemon/export/text_table.h \
	daemon/export/utf8.c daemon/export/utf8.h
nodist_libspexport_la_SOURCES = proto/pprof/profile.pb-c.c proto/pprof/profile.pb-c.h
libspexport_la_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(SMARTCOLS_CFLAGS) $(ZLIB_CFLAGS)
libspexport_la_LIBADD = libspbase.la $(PROTOBUF_C_LIBS) $(SMARTCOLS_LIBS) $(ZLIB_LIBS) -lm
CLEANFILES += $(nodist_libspexport_la_SOURCES)
