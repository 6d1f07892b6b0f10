/*
 * What must never be true: a record that describes another allocation than its id names; a dead id
 * that is live for the daemon while nothing on its way will mend that; and, once everything stands
 * still, a map that differs from the program's heap, or a daemon or a digest that differs from the
 * map without a counted loss.
 */
#include "model/announce_state.h"
#include <string.h>

uint8_t state_load(const struct state *state, const struct state_thread *t, unsigned cell)
{
	for (unsigned i = t->buffered; i-- > 0;)
		if (t->cell[i] == cell)
			return t->value[i];
	return state->cells[cell];
}

void state_store(struct state *state, struct state_thread *t, unsigned cell, uint8_t value)
{
	if (t->buffered == STATE_BUFFER) {
		state->overflow = 1;
		return;
	}
	t->cell[t->buffered] = (uint8_t)cell;
	t->value[t->buffered++] = value;
}

void state_commit(struct state *state, struct state_thread *t)
{
	uint8_t cell = t->cell[0], value = t->value[0];

	t->buffered--;
	memmove(t->cell, t->cell + 1, t->buffered);
	memmove(t->value, t->value + 1, t->buffered);
	t->cell[t->buffered] = t->value[t->buffered] = 0;
	if (cell < STATE_CELLS) {
		state->cells[cell] = value;
		return;
	}
	unsigned ring = cell - STATE_APPEND;
	if (state->head[ring] == ANNOUNCE_RECORDS)
		state->overflow = 1;
	else
		state->records[ring][state->head[ring]++] = value;
}

unsigned state_pending(const struct state *state, const struct state_thread *t, unsigned ring)
{
	unsigned pending = state->head[ring] - state->tail[ring];

	for (unsigned i = 0; i < t->buffered; i++)
		pending += t->cell[i] == STATE_APPEND + ring;
	return pending;
}

bool state_script_ended(const struct announce_config *config, unsigned thread, unsigned op)
{
	return op == ANNOUNCE_SCRIPT || config->script[thread][op].op == ANNOUNCE_NOTHING;
}

static void apply_record(struct state *state, uint8_t record)
{
	uint8_t bit = state_bit(record & STATE_RECORD_ID);

	if (record & STATE_DEATH) {
		state->live &= (uint8_t)~bit;
		state->dying |= bit;
		state->drained_deaths |= bit;
	} else if (!((state->dying | state->dying_before) & bit)) {
		state->live |= bit;
	}
}

unsigned state_drain(struct state *state, const struct announce_config *config)
{
	unsigned ring = state->draining, drained = 0;

	for (; state->tail[ring] < state->head[ring]; drained++)
		apply_record(state, state->records[ring][state->tail[ring]++]);
	state->draining = (uint8_t)((ring + 1) % config->rings);
	if (state->draining == 0) {
		bool forget = config->faults & ANNOUNCE_FORGET_DEATHS;

		state->dying_before = forget ? 0 : state->dying;
		state->dying = 0;
	}
	return drained;
}

/* Ids whose DEATH is written but not drained yet, or whose announcer has still to look at the mark.
 */
static uint8_t about_to_die(const struct state *state, const struct announce_config *config)
{
	uint8_t ids = 0;

	for (unsigned ring = 0; ring < config->rings; ring++)
		for (unsigned i = state->tail[ring]; i < state->head[ring]; i++)
			if (state->records[ring][i] & STATE_DEATH)
				ids |= state_bit(state->records[ring][i] & STATE_RECORD_ID);
	for (unsigned i = 0; i < ANNOUNCE_THREADS; i++) {
		const struct state_thread *t = &state->threads[i];

		if (t->announcing)
			ids |= state_bit(t->announcing);
		for (unsigned k = 0; k < t->buffered; k++)
			if (t->cell[k] >= STATE_APPEND && t->value[k] & STATE_DEATH)
				ids |= state_bit(t->value[k] & STATE_RECORD_ID);
	}
	return ids;
}

static bool at_rest(const struct state *state, const struct announce_config *config)
{
	for (unsigned i = 0; i < ANNOUNCE_THREADS; i++) {
		const struct state_thread *t = &state->threads[i];

		/* pc 0 is between two operations. */
		if (!state_script_ended(config, i, t->op) || t->pc != 0 || t->buffered)
			return false;
	}
	for (unsigned ring = 0; ring < config->rings; ring++)
		if (state->tail[ring] != state->head[ring])
			return false;
	return state->draining == 0;
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

static const char *broken_at_rest(const struct state *state, const struct announce_config *config)
{
	struct map_view map = look_at_map(state, config);
	unsigned blocks = 0;

	if (map.broken)
		return map.broken;
	for (unsigned address = 0; address < config->addresses; address++)
		blocks += state->cells[STATE_USED + address];
	if (map.entries != blocks)
		return "the map holds fewer blocks than the program";
	if (map.marked & ~state->live)
		return "an entry is marked announced, but the daemon does not know it";
	if (map.ids & ~state->live & ~state->lost_births)
		return "a live block is unknown to the daemon, and no loss was counted";
	if (state->live & ~map.ids & ~state->lost_deaths)
		return "a dead block is live for the daemon, and no loss was counted";
	for (unsigned id = 0; id < ANNOUNCE_IDS; id++)
		if (state->digest[id] != (map.marked >> id & 1))
			return "the digest is not that of the announced entries";
	return NULL;
}

const char *state_broken(const struct state *state, const struct announce_config *config)
{
	if (state->overflow)
		return "the model's own bounds are too small";
	if (state->wrong_record)
		return "a record describes another allocation than its id names";
	if (state->live & state->drained_deaths & ~about_to_die(state, config))
		return "an id is live for the daemon after its death was drained";
	return at_rest(state, config) ? broken_at_rest(state, config) : NULL;
}
