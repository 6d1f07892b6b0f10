/*
 * What must never be true: a record that describes another allocation than its id names; a dead id
 * that is live for the daemon while nothing on its way will mend that; and, once everything stands
 * still, a map that differs from the program's heap, or a daemon or a digest that differs from the
 * map without a counted loss.
 */
#include "model/announce_state.h"
#include <string.h>
#include "model/announce_step.h"

static void give_birth(struct state *state, unsigned slot, bool known)
{
	uint8_t id = ++state->last_id;

	state->cells[STATE_KEY + slot] = state_key(STATE_FINAL, (uint8_t)slot);
	state->cells[STATE_ID_MARK + slot] = (uint8_t)(id << 1 | known);
	state->cells[STATE_PAYLOAD + slot] = id;
	state->cells[STATE_USED + slot] = 1;
	state->cells[STATE_POINTER + slot] = (uint8_t)(slot + 1);
	state->digest[id] = known;
	state->daemon.live |= known ? state_bit(id) : 0;
	state->lost_births |= known ? 0 : state_bit(id);
	state->losses += !known;
}

void state_init(struct state *state, const struct announce_config *config)
{
	memset(state, 0, sizeof *state);
	for (unsigned slot = 0; slot < config->slots; slot++)
		if (config->born[slot] != ANNOUNCE_UNBORN)
			give_birth(state, slot, config->born[slot] == ANNOUNCE_KNOWN);
	state->daemon.had_round = 1;
	state->daemon.losses_seen = state->losses;
}

uint8_t state_load(const struct state *state, const struct state_thread *t, unsigned cell)
{
	return store_buffer_load(&t->buffer, state->cells, cell);
}

void state_store(struct state *state, struct state_thread *t, unsigned cell, uint8_t value)
{
	state->overflow |= !store_buffer_put(&t->buffer, cell, value);
}

void state_commit(struct state *state, struct state_thread *t)
{
	uint8_t cell, value;

	store_buffer_take(&t->buffer, &cell, &value);
	if (cell < STATE_CELLS) {
		state->cells[cell] = value;
		return;
	}
	unsigned ring = cell - STATE_APPEND;
	if (state->pending[ring] == ANNOUNCE_RECORDS)
		state->overflow = 1;
	else
		state->records[ring][state->pending[ring]++] = value;
}

unsigned state_pending(const struct state *state, const struct state_thread *t, unsigned ring)
{
	unsigned pending = state->pending[ring];

	for (unsigned i = 0; i < t->buffer.count; i++)
		pending += t->buffer.cell[i] == STATE_APPEND + ring;
	return pending;
}

bool state_script_ended(const struct announce_config *config, unsigned thread, unsigned op)
{
	return op == ANNOUNCE_SCRIPT || config->script[thread][op].op == ANNOUNCE_NOTHING;
}

static uint8_t death_of(uint8_t record)
{
	return (record & STATE_RECORD_TYPE) == STATE_DEATH ? state_bit(record & STATE_RECORD_ID)
							   : 0;
}

/* Ids whose DEATH is written but not drained yet, or whose announcer has still to look at the mark.
 */
static uint8_t about_to_die(const struct state *state, const struct announce_config *config)
{
	uint8_t ids = 0;

	for (unsigned ring = 0; ring < config->rings; ring++)
		for (unsigned i = 0; i < state->pending[ring]; i++)
			ids |= death_of(state->records[ring][i]);
	for (unsigned i = 0; i < ANNOUNCE_THREADS; i++) {
		const struct state_thread *t = &state->threads[i];

		if (t->announcing)
			ids |= state_bit(t->announcing);
		for (unsigned k = 0; k < t->buffer.count; k++)
			if (t->buffer.cell[k] >= STATE_APPEND)
				ids |= death_of(t->buffer.value[k]);
	}
	return ids;
}

/* For what a killed thread was to do. */
static bool waits_for_ever(
	const struct state *state, const struct announce_config *config, unsigned thread)
{
	const struct state_thread *t = &state->threads[thread];

	if (state->kills == 0)
		return false;
	if (t->pc == WAIT_POINTER) {
		unsigned pointer = config->script[thread][t->op].pointer;

		return !state->cells[STATE_POINTER + pointer];
	}
	if (t->pc == RESERVE)
		return t->slot + 1 == config->slots &&
		       state->cells[STATE_KEY + t->slot] >> 4 == STATE_BUSY;
	return false;
}

static bool at_rest(const struct state *state, const struct announce_config *config)
{
	for (unsigned i = 0; i < ANNOUNCE_THREADS; i++) {
		const struct state_thread *t = &state->threads[i];

		if (t->buffer.count)
			return false;
		if (t->killed || waits_for_ever(state, config, i))
			continue;
		/* pc 0 is between two operations. */
		if (!state_script_ended(config, i, t->op) || t->pc != 0)
			return false;
	}
	for (unsigned ring = 0; ring < config->rings; ring++)
		if (state->pending[ring])
			return false;
	return state->daemon.draining == 0;
}

static uint8_t ids_in_map(
	const struct state *state, const struct announce_config *config, bool with_untold_deaths)
{
	uint8_t ids = 0;

	for (unsigned slot = 0; slot < config->slots; slot++) {
		uint8_t key = state->cells[STATE_KEY + slot] >> 4;
		uint8_t id_mark = state->cells[STATE_ID_MARK + slot];
		bool untold = key == STATE_BUSY && id_mark & 1;

		if (key == STATE_FINAL || key == STATE_LIMBO || (untold && with_untold_deaths))
			ids |= state_bit(id_mark >> 1);
	}
	return ids;
}

uint8_t state_unretired(const struct state *state, const struct announce_config *config)
{
	return ids_in_map(state, config, false);
}

struct map_view {
	uint8_t ids, marked; /* bit per id */
	unsigned entries;
	const char *broken;
};

static struct map_view look_at_map(const struct state *state, const struct announce_config *config)
{
	struct map_view map = {0};

	for (unsigned slot = 0; slot < config->slots; slot++) {
		uint8_t key = state->cells[STATE_KEY + slot];
		uint8_t id_mark = state->cells[STATE_ID_MARK + slot];

		if (key >> 4 == STATE_LIMBO || key >> 4 == STATE_BUSY)
			map.broken = "a slot was left claimed";
		if (key >> 4 != STATE_FINAL)
			continue;
		map.entries++;
		map.ids |= state_bit(id_mark >> 1);
		map.marked |= (uint8_t)((id_mark & 1) << (id_mark >> 1));
		if (!state->cells[STATE_USED + (key & 15)])
			map.broken = "the map holds a block that was freed";
	}
	return map;
}

static uint8_t digest_ids(const struct state *state)
{
	uint8_t ids = 0;

	for (unsigned id = 0; id < ANNOUNCE_IDS; id++)
		if (state->digest[id])
			ids |= state_bit(id);
	return ids;
}

/* What a resync promises, whatever was lost before it was asked for. */
static const char *broken_resync(const struct state *state, const struct announce_config *config)
{
	const struct state_daemon *d = &state->daemon;
	bool worked = d->kills == state->kills;

	if (worked && d->resync == STATE_COUNTING)
		return "a LIVE was lost: the resync never ends";
	if (worked && d->resync == STATE_REQUESTED && state->walk.ended &&
		state->walk.epoch == d->epoch)
		return "END was lost: the resync never ends";
	bool nothing_lost =
		d->losses == state->losses || (config->faults & ANNOUNCE_SWEEP_AFTER_LOSS);
	if (!worked || d->resync != STATE_SWEPT || !nothing_lost)
		return NULL;
	uint8_t living = ids_in_map(state, config, true);

	if (d->live & ~living)
		return "a dead block is live after a verified resync";
	if (living & ~d->live)
		return "a live block is unknown after a verified resync";
	if (d->live != digest_ids(state))
		return "the digest differs after a verified resync";
	return NULL;
}

/* What holds without a resync, unless a thread or the daemon ended in the middle. */
static const char *broken_map(const struct state *state, const struct announce_config *config)
{
	struct map_view map = look_at_map(state, config);
	unsigned blocks = 0;

	if (map.broken)
		return map.broken;
	for (unsigned address = 0; address < config->addresses; address++)
		blocks += state->cells[STATE_USED + address];
	if (map.entries != blocks)
		return "the map holds fewer blocks than the program";
	for (unsigned id = 0; id < ANNOUNCE_IDS; id++)
		if (state->digest[id] != (map.marked >> id & 1))
			return "the digest is not that of the announced entries";
	if (state->daemon.restarts)
		return NULL;
	if (map.marked & ~state->daemon.live)
		return "an entry is marked announced, but the daemon does not know it";
	if (map.ids & ~state->daemon.live & ~state->lost_births)
		return "a live block is unknown to the daemon, and no loss was counted";
	if (state->daemon.live & ~map.ids & ~state->lost_deaths)
		return "a dead block is live for the daemon, and no loss was counted";
	return NULL;
}

static const char *broken_at_rest(const struct state *state, const struct announce_config *config)
{
	const char *sentence = state->kills ? NULL : broken_map(state, config);

	return sentence ? sentence : broken_resync(state, config);
}

const char *state_broken(const struct state *state, const struct announce_config *config)
{
	const struct state_daemon *d = &state->daemon;

	if (state->overflow)
		return "the model's own bounds are too small";
	if (state->wrong_record)
		return "a record describes another allocation than its id names";
	if (state->live_swept)
		return "a resync has erased a live block";
	if (d->live & d->drained_deaths & ~about_to_die(state, config))
		return "an id is live for the daemon after its death was drained";
	return at_rest(state, config) ? broken_at_rest(state, config) : NULL;
}
