# What the daemon does with the layers below: sockets, sessions, symbols.
noinst_LTLIBRARIES += libspserver.la
libspserver_la_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(UV_CFLAGS) \
	-DSPPROF_LIBEXECDIR='"$(pkglibexecdir)"'
libspserver_la_LIBADD = libspproto.la $(UV_LIBS)
libspserver_la_SOURCES =

# Processes, sockets, framing.
libspserver_la_SOURCES += \
	daemon/server/api_framing.c daemon/server/api_framing.h \
	daemon/server/options.c daemon/server/options.h \
	daemon/server/process_handle.c daemon/server/process_handle.h \
	daemon/server/process_image.c daemon/server/process_image.h \
	daemon/server/process_info.c daemon/server/process_info.h \
	daemon/server/socket_dir.c daemon/server/socket_dir.h \
	daemon/server/wall_clock.c daemon/server/wall_clock.h

# What workers have mapped; no libuv here.
libspserver_la_SOURCES += \
	daemon/server/maps_text.c daemon/server/maps_text.h \
	daemon/server/module_file.c daemon/server/module_file.h \
	daemon/server/module_map.c daemon/server/module_map.h

# The client of the symbolizer.
libspserver_la_SOURCES += \
	daemon/server/debug_file.c daemon/server/debug_file.h \
	daemon/server/debug_search.c daemon/server/debug_search.h \
	daemon/server/symbol_cache.c daemon/server/symbol_cache.h \
	daemon/server/symbol_client.c daemon/server/symbol_client.h \
	daemon/server/symbol_dialogue.c daemon/server/symbol_dialogue.h \
	daemon/server/symbol_files.c daemon/server/symbol_files.h \
	daemon/server/symbol_helper.c daemon/server/symbol_helper.h \
	daemon/server/symbol_replies.c daemon/server/symbol_replies.h \
	daemon/server/symbol_waits.c daemon/server/symbol_waits.h
