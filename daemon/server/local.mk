# Sources of daemon/server.
noinst_HEADERS += daemon/server/symbol_client.h
