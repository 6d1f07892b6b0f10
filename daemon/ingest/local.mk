# daemon/ingest
noinst_HEADERS += daemon/ingest/segment_map.h daemon/ingest/ring_consumer.h daemon/ingest/record_decode.h
