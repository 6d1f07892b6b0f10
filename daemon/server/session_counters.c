/* The names are an interface: scripts and dashboards know them. None is ever given another meaning.
 */
#include "server/session_counters.h"

#include <stdint.h>

#include "model/heap_model.h"
#include "model/stack_table.h"
#include "server/counter_list.h"
#include "server/module_map.h"
#include "server/session.h"
#include "server/session_audit.h"

#define ADD(name, value, help) counter_list_add(list, name, (double)(value), help)

static void add_agent(struct counter_list *list, const struct segment_counters *agent)
{
	double slots = (double)agent->map_slots;
	ADD("agent_samples", agent->samples, "allocations sampled and kept by the agent");
	ADD("agent_sampled_deaths", agent->sampled_deaths, "sampled blocks that were freed");
	ADD("agent_live_samples", agent->live_count, "live samples as the agent counts them");
	ADD("agent_unannounced_dead", agent->unannounced_dead,
		"freed samples that the daemon never heard of");
	ADD("agent_missed_frees", agent->missed_frees,
		"frees that went past the agent, noticed later");
	ADD("agent_interval_bytes", agent->interval_bytes, "mean sampling interval in force");
	ADD("agent_map_slots", agent->map_slots, "slots of the agent's heap map");
	ADD("agent_map_load_percent", slots > 0 ? 100.0 * (double)agent->live_count / slots : 0,
		"live samples in these slots");
	ADD("agent_map_collisions", agent->map_collisions,
		"inserts that did not get the first slot");
	ADD("agent_filter_positives", agent->filter_positives, "frees that passed the filter");
	ADD("agent_filter_false_positives", agent->filter_false,
		"of these, of blocks that were not sampled");
	ADD("agent_filter_cells_used", agent->filter_cells_used,
		"cells of the filter that are not zero");
	ADD("agent_filter_saturated", agent->filter_saturated,
		"cells of the filter that were full once and stay set");
	ADD("agent_stacks", agent->stacks, "distinct stacks that the agent keeps");
	ADD("agent_stack_blocks", agent->stack_blocks, "blocks of 64 bytes that these take");
	ADD("agent_stacks_not_kept", agent->stacks_not_kept,
		"samples whose stack found no room in the agent");
	ADD("agent_resync_slices", agent->resync_slices, "turns of telling the map again");
	ADD("agent_resync_slots", agent->resync_slots, "slots looked at in these");
	ADD("agent_resync_lives", agent->resync_lives, "live samples told in these");
	ADD("agent_resync_refused", agent->resync_refused,
		"turns that ended for want of room in the rings");
	ADD("agent_rule_misses", agent->rule_misses, "call sites whose unwind rule was looked up");
	ADD("agent_services", agent->services, "slow entries that sampled nothing");
}

/* In the order of enum wire_loss. */
static const struct {
	const char *count, *bytes, *help;
} losses[] = {
	{"lost_birth_ring_full", "lost_birth_ring_full_bytes",
		"samples not announced: the rings were full"},
	{"lost_birth_no_ring", "lost_birth_no_ring_bytes",
		"samples not announced: every ring was in use"},
	{"lost_no_scratch", "lost_no_scratch_bytes", "samples dropped: no buffer to capture into"},
	{"lost_map_full", "lost_map_full_bytes",
		"samples dropped: the agent's map or memory was exhausted"},
	{"lost_death_unwritten", "lost_death_unwritten_bytes",
		"freed samples that still count as live"},
	{"lost_reentry", "lost_reentry_bytes", "samples dropped: the thread was already sampling"},
};
_Static_assert(sizeof losses / sizeof losses[0] == WIRE_LOSS_KINDS, "each loss has its name");

static void add_losses(struct counter_list *list, const struct segment_counters *agent)
{
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++) {
		ADD(losses[i].count, agent->loss_count[i], losses[i].help);
		ADD(losses[i].bytes, agent->loss_bytes[i], "estimated bytes that these stood for");
	}
}

static void add_capture(struct counter_list *list, const struct sample_feed_stats *feed)
{
	double births = feed->births > 0 ? (double)feed->births : 1;
	ADD("stacks_seen", feed->births, "samples that were told of, each once");
	ADD("stacks_whole", feed->by_stop[WIRE_STOP_END], "stacks walked to their outermost frame");
	ADD("stacks_whole_percent", 100.0 * (double)feed->by_stop[WIRE_STOP_END] / births,
		"share of these");
	ADD("stacks_truncated", feed->by_stop[WIRE_STOP_MAX], "stacks deeper than the limit");
	ADD("stacks_stopped_no_info", feed->by_stop[WIRE_STOP_NO_INFO],
		"walks that met code without unwind rules");
	ADD("stacks_stopped_bounds", feed->by_stop[WIRE_STOP_BOUNDS],
		"walks that would have left the stack");
	ADD("stacks_stopped_unsupported", feed->by_stop[WIRE_STOP_UNSUPPORTED],
		"walks that met a rule which is not supported");
	ADD("stacks_guessed", feed->guessed, "stacks with frames found by guessing");
	ADD("stacks_not_kept", feed->not_kept, "samples told again without their stack");
	ADD("frames_seen", feed->frames, "frames of all these stacks");
	ADD("frames_unmapped", feed->unmapped_frames, "of these, in no known mapping");
}

static void add_python(struct counter_list *list, const struct segment_counters *agent,
	const struct sample_feed_stats *feed)
{
	ADD("agent_python_samples", agent->python_samples, "samples with frames of Python");
	ADD("agent_python_skipped", agent->python_skipped,
		"samples of a Python thread in no state to be looked at");
	ADD("agent_python_unpaired", agent->python_unpaired,
		"samples whose Python frames stand at the stack's end: the walk ended before");
	ADD("agent_python_codes", agent->codes, "Python functions that the agent has described");
	ADD("agent_python_codes_not_kept", agent->codes_not_kept,
		"frames of Python functions that found no room there");
	ADD("agent_python_objects_sampled", agent->objects_sampled,
		"samples that Python's own allocator served");
	ADD("python_frames_seen", feed->python_frames, "of the frames seen, Python's");
	ADD("python_frames_unknown", feed->python_unknown_frames,
		"of these, of functions that are not known");
}

/* The upper end of the bucket that holds this share of all lifetimes. */
static double lifetime_at(const struct heap_totals *totals, double share)
{
	uint64_t sum = 0, seen = 0;
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++)
		sum += totals->lifetimes[i];
	for (unsigned i = 0; i < HEAP_LIFETIMES; i++) {
		seen += totals->lifetimes[i];
		if (sum > 0 && (double)seen >= share * (double)sum)
			return (double)(UINT64_C(2) << i) / 1e9;
	}
	return 0;
}

static void add_model(
	struct counter_list *list, struct session *session, const struct session_numbers *numbers)
{
	struct heap_totals totals;
	struct snapshot_quality quality;
	heap_model_totals(session_heap(session), &totals);
	session_quality(session, &quality);
	ADD("model_live_samples", totals.live, "live samples in the daemon's copy");
	ADD("model_births", totals.births, "births applied");
	ADD("model_deaths", totals.deaths, "deaths applied");
	ADD("model_inferred_deaths", totals.inferred_deaths,
		"of these, not told of and found by a resync");
	ADD("model_taken_back", totals.taken_back,
		"samples told again by mistake and taken back: in no other count");
	ADD("model_duplicate_births", totals.duplicate_births, "births told twice");
	ADD("model_duplicate_deaths", totals.duplicate_deaths, "deaths told twice");
	ADD("model_unknown_deaths", totals.unknown_deaths,
		"deaths of samples that were never heard of");
	ADD("model_forgotten_deaths", totals.forgotten_deaths,
		"deaths not remembered for want of room");
	ADD("lifetime_median_seconds", lifetime_at(&totals, 0.5),
		"half of the freed samples lived less long");
	ADD("lifetime_p90_seconds", lifetime_at(&totals, 0.9),
		"nine in ten of the freed samples lived less long");
	ADD("folded_samples", quality.folded_samples,
		"samples folded away at a bound of memory, each once");
	ADD("folded_bytes", quality.folded_bytes, "estimated bytes that these stood for");
	ADD("unique_stacks", stack_table_count(session_stacks(session)) - 1, "distinct stacks");
	ADD("stack_table_bytes", stack_table_bytes(session_stacks(session)), "memory of these");
	ADD("modules", module_map_count(session_modules(session)),
		"program and libraries mapped so far");
	ADD("model_bytes", numbers->bytes, "the daemon's memory for this process");
}

static void add_transport(
	struct counter_list *list, struct session *session, const struct session_numbers *numbers)
{
	const struct ring_consumer_stats *ring = &numbers->consumer;
	ADD("ring_records", ring->records, "records read from the rings");
	ADD("ring_bytes", ring->bytes, "bytes read from the rings");
	ADD("ring_rounds", ring->rounds, "times that the rings were read");
	ADD("ring_corrupt_records", ring->corrupt_records, "malformed records, skipped");
	ADD("ring_corrupt_rings", ring->corrupt_rings,
		"rings with positions out of range, skipped");
	ADD("ring_unknown_records", ring->unknown_records, "records of a newer agent, skipped");
	ADD("segment_bytes",
		wire_segment_size(
			session_segment(session)->ring_count, session_segment(session)->ring_size),
		"size of the segment shared with the agent");
	ADD("maps_readings", numbers->refreshes, "times that the list of mappings was read again");
	ADD("digest_checks", numbers->digest_checks,
		"comparisons of the copy with the agent's count");
	ADD("digest_mismatches", numbers->digest_mismatches, "of these, with a difference");
	ADD("attached_by_scan", session_facts(session)->attach == SESSION_PULL,
		"1: found by the daemon, 0: handed over by the agent");
}

static void add_resync(
	struct counter_list *list, struct session *session, const struct session_numbers *numbers)
{
	const struct resync *resync = &numbers->resync;
	ADD("resync_epoch", resync->epoch, "number of the latest request to tell the map again");
	ADD("resync_requests", resync->requests, "such requests");
	ADD("resync_verified", resync->confirmations, "times that the copy was confirmed by these");
	ADD("resync_progress_percent", session_told_percent(session),
		"of the map, told for the latest request");
	ADD("resync_readings", resync->readings,
		"times that an idle process's map was read from its memory");
	ADD("resync_read_errors", resync->read_errors, "of these, that failed");
}

static void add_audit(struct counter_list *list, const struct segment_counters *agent,
	const struct session_audit_stats *audit)
{
	const uint64_t *verdicts = audit->verdicts, *unjudged = audit->unjudged;
	ADD("agent_audits", agent->audits, "samples told with a copy of their stack, for an audit");
	ADD("agent_audits_dropped", agent->audits_dropped,
		"audits left out: the rings had little room");
	ADD("agent_audits_foreign", agent->audits_foreign,
		"audits left out: the stack's end is not known");
	ADD("audits_heard", audit->heard, "stacks to be unwound by libunwind too");
	ADD("audits_pending", audit->pending, "of these, not judged yet");
	ADD("audits_agreed", verdicts[SESSION_AUDIT_AGREED],
		"stacks in which both agree from one end to the other");
	ADD("audits_agreed_cut_short", audit->cut_short,
		"of these, in which both stop before the outermost frame");
	ADD("audits_agreed_in_part", verdicts[SESSION_AUDIT_CUT],
		"stacks in which both agree as far as the copy goes");
	ADD("audits_disagreed", verdicts[SESSION_AUDIT_DIFFERENT],
		"stacks in which one frame or more differs");
	ADD("audits_stopped_early", verdicts[SESSION_AUDIT_SHORTER],
		"stacks that the agent could have followed further");
	ADD("audits_not_followed", verdicts[SESSION_AUDIT_LONGER],
		"stacks that libunwind could not follow to the end");
	ADD("audits_frames", audit->frames, "frames that both found");
	ADD("audits_unjudged_broken", unjudged[SESSION_AUDIT_BROKEN],
		"not judged: the worker's records make no sense");
	ADD("audits_unjudged_busy", unjudged[SESSION_AUDIT_BUSY],
		"not judged: too many were waiting");
	ADD("audits_unjudged_no_file", unjudged[SESSION_AUDIT_NO_FILE],
		"not judged: a file is gone or may not be read");
	ADD("audits_unjudged_unmapped", unjudged[SESSION_AUDIT_UNMAPPED],
		"not judged: a frame lies in a file that was mapped a moment ago");
	ADD("audits_unjudged_vdso", unjudged[SESSION_AUDIT_VDSO],
		"not judged: a frame lies in the kernel's page");
	ADD("audits_unjudged_guessed", unjudged[SESSION_AUDIT_GUESSED],
		"not judged: the agent guessed a frame, and says so");
	ADD("audits_unjudged_helper", unjudged[SESSION_AUDIT_HELPER],
		"not judged: the symbolizer failed or took too long");
}

void session_counters_add(struct counter_list *list, struct session *session)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	add_agent(list, &numbers.agent);
	add_losses(list, &numbers.agent);
	add_capture(list, &numbers.feed);
	add_python(list, &numbers.agent, &numbers.feed);
	add_audit(list, &numbers.agent, &session_audit(session)->stats);
	add_model(list, session, &numbers);
	add_transport(list, session, &numbers);
	add_resync(list, session, &numbers);
}
