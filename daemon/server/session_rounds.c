/*
 * A round may be taken in parts, with other sessions' in between: it is under way from its first part
 * until it is tended. What is to be seen as it was before the round is looked at once, then.
 */
#include "server/session_rounds.h"

#include "ingest/segment_map.h"
#include "server/sample_feed.h"
#include "server/session_audit.h"
#include "server/session_codes.h"
#include "server/session_resync.h"

int session_rounds_init(struct session_rounds *rounds, struct segment_map *segment,
	struct session_resync *resync, struct session_audit *audit, struct session_codes *codes)
{
	/* A new consumer skips what makes no sense, which nobody has taken. */
	*rounds = (struct session_rounds){
		.read_before = segment_map_taken_bytes(segment),
		.resync = resync,
		.audit = audit,
		.codes = codes,
	};
	return ring_consumer_new(&rounds->consumer, segment);
}

void session_rounds_deinit(struct session_rounds *rounds)
{
	rounds->consumer = ring_consumer_free(rounds->consumer);
}

static void begin(struct session_rounds *rounds)
{
	if (!rounds->under_way) {
		session_resync_round_begins(rounds->resync, &rounds->taken);
		session_codes_round(rounds->codes);
	}
	rounds->under_way = true;
}

int session_rounds_take(
	struct session_rounds *rounds, bool all, uint64_t max_bytes, uint64_t *taken)
{
	struct record_sink sink = session_resync_sink(rounds->resync);
	uint64_t before = rounds->taken.bytes;
	session_audit_listen(rounds->audit, &sink);
	all = all || session_resync_needs_round(rounds->resync);
	begin(rounds);
	int r = ring_consumer_round(rounds->consumer, all, max_bytes, &sink);
	ring_consumer_stats(rounds->consumer, &rounds->taken);
	*taken = rounds->taken.bytes - before;
	if (r == 0)
		sample_feed_end_round(rounds->resync->feed);
	return r;
}

bool session_rounds_tend(struct session_rounds *rounds)
{
	rounds->under_way = false;
	return session_resync_round_ended(rounds->resync, &rounds->taken);
}
