# Layers of the daemon, each a convenience library: base <- model <- {ingest, export} <- server.
daemon_cppflags = -I$(builddir) -I$(srcdir)/include -I$(srcdir)/daemon

noinst_LTLIBRARIES += libspbase.la
libspbase_la_SOURCES = \
	daemon/base/alloc.c daemon/base/alloc.h \
	daemon/base/arena.c daemon/base/arena.h \
	daemon/base/buffer.c daemon/base/buffer.h \
	daemon/base/hash_index.c daemon/base/hash_index.h \
	daemon/base/log.c daemon/base/log.h \
	daemon/base/packet.c daemon/base/packet.h \
	daemon/base/saturated.h \
	daemon/base/string_pool.c daemon/base/string_pool.h
libspbase_la_CPPFLAGS = $(daemon_cppflags) $(XXHASH_CFLAGS)
libspbase_la_LIBADD = $(XXHASH_LIBS)
