# Generated into the build tree; the .proto files are the source.
proto_files = proto/spprof/v1/api.proto proto/spprof/v1/symbolizer.proto
EXTRA_DIST += $(proto_files)

noinst_LTLIBRARIES += libspproto.la
nodist_libspproto_la_SOURCES = \
	proto/spprof/v1/api.pb-c.c proto/spprof/v1/api.pb-c.h \
	proto/spprof/v1/symbolizer.pb-c.c proto/spprof/v1/symbolizer.pb-c.h
libspproto_la_SOURCES =
libspproto_la_CPPFLAGS = -I$(builddir)/proto $(PROTOBUF_C_CFLAGS)
libspproto_la_LIBADD = $(PROTOBUF_C_LIBS)
BUILT_SOURCES += proto/spprof/v1/api.pb-c.h proto/spprof/v1/symbolizer.pb-c.h
CLEANFILES += $(nodist_libspproto_la_SOURCES)

# Every user of the generated header compiles with this.
proto_cppflags = -I$(builddir)/proto $(PROTOBUF_C_CFLAGS)

SUFFIXES = .proto .pb-c.c .pb-c.h
%.pb-c.c %.pb-c.h: %.proto
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(PROTOC_C) --proto_path=$(srcdir)/proto --c_out=$(builddir)/proto $(<:$(srcdir)/proto/%=%)
