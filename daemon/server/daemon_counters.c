/* The names are an interface: scripts and dashboards know them. None is ever given another meaning.
 */
#include "server/daemon_counters.h"

#include "server/agent_listener.h"
#include "server/api_handlers.h"
#include "server/api_server.h"
#include "server/attach_scan.h"
#include "server/auditor.h"
#include "server/counter_list.h"
#include "server/drain_scheduler.h"
#include "server/map_places.h"
#include "server/process_reader.h"
#include "server/session_table.h"
#include "server/snapshot_builder.h"
#include "server/symbol_client.h"

#define ADD(name, value, help) counter_list_add(list, name, (double)(value), help)

static void add_sessions(struct counter_list *list, const struct api_handlers_parts *parts)
{
	struct session_table_stats table;
	struct attach_scan_stats scan;
	session_table_stats(parts->table, &table);
	attach_scan_stats(parts->scan, &scan);
	ADD("processes_attached", table.attached, "processes attached now");
	ADD("processes_exited", table.exited, "ended processes kept for snapshots");
	ADD("processes_lost", scan.lost, "forks that hold only their parent's segment");
	ADD("sessions_adopted", table.adopted, "processes attached so far");
	ADD("sessions_refused", table.refused, "segments that were not attached");
	ADD("sessions_superseded", table.superseded, "ended by an exec");
	ADD("sessions_evicted", table.evicted, "ended processes forgotten");
	ADD("models_bytes", table.bytes, "memory of all models");
	ADD("models_frozen", table.frozen, "1: at the bound of memory, the largest do not grow");
	ADD("scans", scan.scans, "scans of all processes for agents");
	ADD("scan_processes", scan.processes_looked_at, "processes looked at by scans");
	ADD("scan_adopted", scan.adopted, "processes attached by scans");
}

static void add_drain(struct counter_list *list, const struct api_handlers_parts *parts)
{
	struct drain_scheduler_stats drain;
	drain_scheduler_stats(parts->scheduler, &drain);
	ADD("drain_turns", drain.turns, "turns of the drain timer");
	ADD("drain_bytes", drain.bytes, "bytes read from rings");
	ADD("drain_full_turns", drain.full_turns, "turns that ended at their bound of bytes");
}

static void add_listener(struct counter_list *list, const struct agent_listener *listener)
{
	struct agent_listener_stats agents;
	agent_listener_stats(listener, &agents);
	ADD("agent_connections", agents.connections, "connections to the agents' socket");
	ADD("agent_handshakes_adopted", agents.adopted, "of these, attached");
	ADD("agent_handshakes_malformed", agents.malformed, "of these, without a handshake");
	ADD("agent_handshakes_refused", agents.refused,
		"of these, with a segment that was not attached");
	ADD("agent_handshakes_timed_out", agents.timed_out, "of these, silent");
	ADD("agent_descriptors_unclosable", agents.unclosable,
		"received files that cannot be closed");
}

static void add_api(struct counter_list *list, const struct api_handlers_parts *parts)
{
	struct api_server_stats api;
	struct snapshot_builder_stats builds;
	api_server_stats(parts->server, &api);
	snapshot_builder_stats(parts->builder, &builds);
	ADD("api_connections", api.connections, "connections to the API socket");
	ADD("api_connections_open", api.open, "open now");
	ADD("api_requests", api.requests, "requests answered or under way");
	ADD("api_requests_malformed", api.malformed,
		"connections closed because they made no sense");
	ADD("api_connections_stalled", api.stalled,
		"connections closed in the middle of a message");
	ADD("api_held_bytes", api.held_bytes, "answers that clients have not taken yet");
	ADD("snapshots_built", builds.built, "snapshots made");
	ADD("snapshots_failed", builds.failed, "snapshots that could not be made");
	ADD("snapshots_unwanted", builds.unwanted,
		"of these, given up because the client had gone");
	ADD("snapshots_late", builds.timed_out, "snapshots answered before all names were known");
	ADD("snapshots_under_way", builds.under_way, "being made now");
	ADD("snapshots_waiting", builds.waiting, "waiting for their turn");
}

static void add_symbols(struct counter_list *list, const struct symbol_client *symbols)
{
	struct symbol_client_stats stats;
	symbol_client_stats(symbols, &stats);
	ADD("symbolizer_running", stats.helper_pid > 0, "1: the symbolizer is running");
	ADD("symbolizer_starts", stats.helper_starts, "times that it was started");
	ADD("symbolizer_deaths", stats.helper_deaths, "times that it died or hung");
	ADD("symbolizer_files_given_up", stats.files_given_up, "binaries that killed it twice");
	ADD("symbolizer_offsets_answered", stats.offsets_answered, "code locations named");
	ADD("symbolizer_offsets_dropped", stats.offsets_dropped,
		"names forgotten at a bound of memory");
	ADD("symbolizer_cache_bytes", stats.cache_bytes, "memory of names kept");
}

static void add_places(struct counter_list *list, const struct map_places *places)
{
	struct map_places_stats stats;
	map_places_stats(places, &stats);
	ADD("map_readings_under_way", stats.in_use, "idle processes whose memory is being read");
	ADD("map_readings_waiting", stats.waiting, "idle processes that wait for that");
	ADD("map_readings_timed_out", stats.timeouts, "readings that took too long");
	ADD("map_readings_yielded", stats.yielded, "readings that gave way to other users' ones");
	ADD("map_reader_starts", stats.starts, "times that the helper which reads was started");
	ADD("map_reader_deaths", stats.deaths, "times that it ended by itself");
	ADD("map_readers_lingering", stats.lingering,
		"killed helpers that the kernel has not let go");
}

static void add_reader(struct counter_list *list, const struct process_reader *reader)
{
	struct process_reader_stats stats;
	process_reader_stats(reader, &stats);
	ADD("proc_reads", stats.asks, "times that a process was asked what it is or has mapped");
	ADD("proc_reads_waiting", stats.waiting, "of these, that wait for their turn");
	ADD("proc_reads_timed_out", stats.timeouts, "of these, that took too long");
	ADD("proc_reads_without_a_turn", stats.unread, "of these, that waited for it in vain");
	ADD("proc_reader_starts", stats.starts, "times that a helper which does it was started");
	ADD("proc_reader_deaths", stats.deaths, "times that one ended by itself");
	ADD("proc_readers_lingering", stats.lingering,
		"killed helpers that the kernel has not let go");
}

static void add_auditor(struct counter_list *list, const struct auditor *auditor)
{
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	ADD("auditor_running", stats.helper_pid > 0,
		"1: the symbolizer that audits stacks is running");
	ADD("auditor_starts", stats.helper_starts, "times that it was started");
	ADD("auditor_deaths", stats.helper_deaths, "times that it died or hung");
	ADD("auditor_judged", stats.judged, "stacks that it has judged");
	ADD("auditor_waiting", stats.waiting, "stacks that wait for it");
}

void daemon_counters_add(struct counter_list *list, const struct api_handlers_parts *parts)
{
	add_sessions(list, parts);
	add_drain(list, parts);
	if (parts->listener != NULL)
		add_listener(list, parts->listener);
	if (parts->server != NULL)
		add_api(list, parts);
	add_symbols(list, parts->symbols);
	add_places(list, parts->places);
	add_reader(list, parts->reader);
	if (parts->auditor != NULL)
		add_auditor(list, parts->auditor);
}
