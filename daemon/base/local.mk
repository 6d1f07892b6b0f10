# Layers of the daemon, each a convenience library: base <- model <- {ingest, export} <- server.
daemon_cppflags = -I$(builddir) -I$(srcdir)/include -I$(srcdir)/daemon

noinst_HEADERS += daemon/base/buffer.h daemon/base/log.h daemon/base/alloc.h daemon/base/string_pool.h
