# What the daemon knows of a worker's heap: events in, numbers out.
noinst_LTLIBRARIES += libspmodel.la
libspmodel_la_SOURCES = \
	daemon/model/estimate.c daemon/model/estimate.h \
	daemon/model/gamma.c daemon/model/gamma.h \
	daemon/model/death_log.c daemon/model/death_log.h \
	daemon/model/death_memory.c daemon/model/death_memory.h \
	daemon/model/heap_model.c daemon/model/heap_model.h \
	daemon/model/live_set.c daemon/model/live_set.h \
	daemon/model/snapshot.c daemon/model/snapshot.h \
	daemon/model/snapshot_bound.c daemon/model/snapshot_bound.h \
	daemon/model/snapshot_merge.c daemon/model/snapshot_merge.h \
	daemon/model/stack_table.c daemon/model/stack_table.h
libspmodel_la_CPPFLAGS = $(daemon_cppflags)
libspmodel_la_LIBADD = libspbase.la -lm
