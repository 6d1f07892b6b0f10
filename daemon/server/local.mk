# Sources of daemon/server.
noinst_HEADERS += daemon/server/symbol_client.h daemon/server/module_map.h
