/*
 * Deaths are remembered until the end of the next round. What a resync may erase is what was known
 * at the end of the round that asked for it; it is erased when a whole round has passed since END
 * was read and every LIVE that END counts has been read, if none of them named it.
 */
#include "model/announce_daemon.h"
#include <string.h>

static bool faulty(const struct announce_config *config, enum announce_fault fault)
{
	return config->faults & fault;
}

static void apply_birth(struct state_daemon *d, uint8_t record)
{
	uint8_t bit = state_bit(record & STATE_RECORD_ID);
	uint8_t epoch = (record & STATE_RECORD_EPOCH) >> 3;

	if (epoch != 0 && epoch == d->epoch) {
		d->named |= bit;
		d->lives_read++;
	}
	if (!((d->dying | d->dying_before) & bit))
		d->live |= bit;
}

static void apply_record(struct state_daemon *d, uint8_t record)
{
	uint8_t bit = state_bit(record & STATE_RECORD_ID);

	switch (record & STATE_RECORD_TYPE) {
	case STATE_BIRTH:
		apply_birth(d, record);
		break;
	case STATE_DEATH:
		d->live &= (uint8_t)~bit;
		d->dying |= bit;
		d->drained_deaths |= bit;
		break;
	default: /* STATE_END */
		if ((record & STATE_RECORD_EPOCH) >> 3 != d->epoch)
			break;
		d->resync = STATE_END_READ;
		d->lives_wanted = record & STATE_RECORD_ID;
		break;
	}
}

static void sweep(struct state *state, const struct announce_config *config)
{
	struct state_daemon *d = &state->daemon;
	uint8_t candidates = faulty(config, ANNOUNCE_ID_BOUND)
				     ? (uint8_t)(state_bit(state->bound + 1u) - 1)
				     : d->learned_before;
	uint8_t erased = (uint8_t)(d->live & candidates & ~d->named);

	state->live_swept |= (erased & state_unretired(state, config)) != 0;
	d->live &= (uint8_t)~erased;
	d->resync = STATE_SWEPT;
	/* Not needed any more: equal situations are equal states. */
	d->learned_before = d->named = 0;
}

static void end_resync_round(struct state *state, const struct announce_config *config)
{
	struct state_daemon *d = &state->daemon;

	if (d->in_round) {
		d->learned_before = d->live;
		d->in_round = 0;
	}
	if (d->resync == STATE_END_READ && !faulty(config, ANNOUNCE_SWEEP_AT_END))
		d->resync = STATE_ROUND_MORE;
	else if (d->resync == STATE_ROUND_MORE || d->resync == STATE_END_READ)
		d->resync = STATE_COUNTING;
	if (d->resync == STATE_COUNTING &&
		(d->lives_read == d->lives_wanted || faulty(config, ANNOUNCE_SWEEP_UNCOUNTED)))
		sweep(state, config);
}

/* Counted before the first head is read: the BIRTH whose DEATH was lost is then drained in this
 * round. */
static void begin_round(struct state *state)
{
	state->daemon.losses_seen = state->losses;
	state->daemon.kills_seen = state->kills;
}

unsigned announce_daemon_drain(struct state *state, const struct announce_config *config)
{
	struct state_daemon *d = &state->daemon;
	unsigned ring = d->draining, drained = state->pending[ring];

	if (ring == 0)
		begin_round(state);
	for (unsigned i = 0; i < drained; i++)
		apply_record(d, state->records[ring][i]);
	memset(state->records[ring], 0, sizeof state->records[ring]);
	state->pending[ring] = 0;
	d->draining = (uint8_t)((ring + 1) % config->rings);
	if (d->draining != 0)
		return drained;
	d->dying_before = faulty(config, ANNOUNCE_FORGET_DEATHS) ? 0 : d->dying;
	d->dying = 0;
	d->had_round = 1;
	end_resync_round(state, config);
	return drained;
}

bool announce_daemon_request(struct state *state, const struct announce_config *config)
{
	struct state_daemon *d = &state->daemon;

	if (state->request == config->requests)
		return false;
	if (d->draining != 0 && !faulty(config, ANNOUNCE_REQUEST_IN_ROUND))
		return false;
	if (!d->had_round && !faulty(config, ANNOUNCE_REQUEST_AT_START))
		return false;
	d->epoch = ++state->request;
	d->resync = STATE_REQUESTED;
	d->learned_before = d->live;
	d->named = d->lives_read = d->lives_wanted = 0;
	d->losses = faulty(config, ANNOUNCE_LATE_BASELINE) ? state->losses : d->losses_seen;
	d->kills = d->kills_seen;
	d->in_round = d->draining != 0;
	return true;
}

bool announce_daemon_restart(struct state *state, const struct announce_config *config)
{
	uint8_t restarts = state->daemon.restarts;

	if (restarts == config->restarts)
		return false;
	memset(&state->daemon, 0, sizeof state->daemon);
	state->daemon.restarts = (uint8_t)(restarts + 1);
	begin_round(state);
	return true;
}
