# What the daemon does with the layers below: sockets, sessions, symbols.
noinst_LTLIBRARIES += libspserver.la
libspserver_la_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(UV_CFLAGS) \
	-DSPPROF_LIBEXECDIR='"$(pkglibexecdir)"'
libspserver_la_LIBADD = libspproto.la libspingest.la $(UV_LIBS)
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
	daemon/server/helper_process.c daemon/server/helper_process.h \
	daemon/server/symbol_helper.c daemon/server/symbol_helper.h \
	daemon/server/symbol_replies.c daemon/server/symbol_replies.h \
	daemon/server/symbol_waits.c daemon/server/symbol_waits.h

# Workers: from the process to its model.
libspserver_la_SOURCES += \
	daemon/server/admissions.c daemon/server/admissions.h \
	daemon/server/agent_listener.c daemon/server/agent_listener.h \
	daemon/server/attach_scan.c daemon/server/attach_scan.h \
	daemon/server/audit_queue.c daemon/server/audit_queue.h \
	daemon/server/audit_request.c daemon/server/audit_request.h \
	daemon/server/auditor.c daemon/server/auditor.h \
	daemon/server/background_close.c daemon/server/background_close.h \
	daemon/server/capture_confidence.c daemon/server/capture_confidence.h \
	daemon/server/capture_tally.c daemon/server/capture_tally.h \
	daemon/server/complaint.c daemon/server/complaint.h \
	daemon/server/drain_scheduler.c daemon/server/drain_scheduler.h \
	daemon/server/event_loop.c daemon/server/event_loop.h \
	daemon/server/proc_walk.c daemon/server/proc_walk.h \
	daemon/server/map_places.c daemon/server/map_places.h \
	daemon/server/map_reading.c daemon/server/map_reading.h \
	daemon/server/process_reader.c daemon/server/process_reader.h \
	daemon/server/process_texts.c daemon/server/process_texts.h \
	daemon/server/resync.c daemon/server/resync.h \
	daemon/server/sample_feed.c daemon/server/sample_feed.h \
	daemon/server/session.c daemon/server/session.h \
	daemon/server/segment_lock.c daemon/server/segment_lock.h \
	daemon/server/session_audit.c daemon/server/session_audit.h \
	daemon/server/session_claim.c daemon/server/session_claim.h \
	daemon/server/session_codes.c daemon/server/session_codes.h \
	daemon/server/session_copy.c daemon/server/session_copy.h \
	daemon/server/session_identity.c daemon/server/session_identity.h \
	daemon/server/session_maps.c daemon/server/session_maps.h \
	daemon/server/session_program.c daemon/server/session_program.h \
	daemon/server/session_quality.c daemon/server/session_quality.h \
	daemon/server/session_resync.c daemon/server/session_resync.h \
	daemon/server/session_rounds.c daemon/server/session_rounds.h \
	daemon/server/session_sums.c daemon/server/session_sums.h \
	daemon/server/session_table.c daemon/server/session_table.h

# Answers: from the model to the client.
libspserver_la_SOURCES += \
	daemon/server/api_access.c daemon/server/api_access.h \
	daemon/server/api_answer.c daemon/server/api_answer.h \
	daemon/server/api_call.c daemon/server/api_call.h \
	daemon/server/api_capture.c daemon/server/api_capture.h \
	daemon/server/api_handlers.c daemon/server/api_handlers.h \
	daemon/server/api_process.c daemon/server/api_process.h \
	daemon/server/api_server.c daemon/server/api_server.h \
	daemon/server/counter_list.c daemon/server/counter_list.h \
	daemon/server/daemon_counters.c daemon/server/daemon_counters.h \
	daemon/server/module_files.c daemon/server/module_files.h \
	daemon/server/api_stats.c daemon/server/api_stats.h \
	daemon/server/process_list.c daemon/server/process_list.h \
	daemon/server/family.c daemon/server/family.h \
	daemon/server/family_ledger.c daemon/server/family_ledger.h \
	daemon/server/session_counters.c daemon/server/session_counters.h \
	daemon/server/session_marks.c daemon/server/session_marks.h \
	daemon/server/session_python.c daemon/server/session_python.h \
	daemon/server/snapshot_builder.c daemon/server/snapshot_builder.h \
	daemon/server/snapshot_draft.c daemon/server/snapshot_draft.h \
	daemon/server/snapshot_fold.c daemon/server/snapshot_fold.h \
	daemon/server/snapshot_locations.c daemon/server/snapshot_locations.h \
	daemon/server/snapshot_scope.c daemon/server/snapshot_scope.h

bin_PROGRAMS += spprofd
spprofd_SOURCES = daemon/main.c
spprofd_CPPFLAGS = $(daemon_cppflags) $(proto_cppflags) $(UV_CFLAGS)
spprofd_LDADD = libspserver.la libspexport.la libspingest.la libspmodel.la libspbase.la libspproto.la $(UV_LIBS)

# A program, its man page, its completion and its --help change together.
dist_man_MANS += docs/man/spprofd.8
dist_bashcompletion_DATA += completion/spprofd
