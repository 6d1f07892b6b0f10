# daemon/model
noinst_HEADERS += daemon/model/stack_table.h daemon/model/estimate.h daemon/model/heap_model.h daemon/model/snapshot.h
