# What the daemon does with the layers below: sockets, sessions, symbols.
noinst_LTLIBRARIES += libspserver.la
libspserver_la_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(UV_CFLAGS)
libspserver_la_LIBADD = libspproto.la $(UV_LIBS)
libspserver_la_SOURCES =

noinst_HEADERS += daemon/server/symbol_client.h daemon/server/module_map.h
