# daemon/export
noinst_HEADERS += daemon/export/export.h
