/*
 * What must never be true: a free that passes by an entry of the map; and, once everything stands
 * still, a cell that counts fewer entries than lie on it, or more although it is not full and no
 * thread ended half-way.
 */
#include "model/filter_state.h"
#include <string.h>

bool filter_state_script_ended(
	const struct filter_config *config, const struct filter_thread *t, unsigned thread)
{
	return t->op == FILTER_SCRIPT || config->script[thread][t->op].op == FILTER_NOTHING;
}

/* A block that a thread of the parent was about to realloc is still the program's in the child. */
static void resume_reallocs(struct filter_state *state)
{
	for (unsigned address = 0; address < FILTER_ADDRESSES; address++)
		for (unsigned slot = 0; slot < FILTER_SLOTS; slot++)
			if (state->cells[filter_key_cell(address, slot)] == FILTER_LIMBO) {
				state->cells[filter_key_cell(address, slot)] = FILTER_FINAL;
				state->cells[FILTER_POINTER + address] = 1;
			}
}

void filter_state_fork(
	struct filter_state *state, const struct filter_config *config, unsigned survivor)
{
	const struct filter_thread own = state->threads[survivor];
	unsigned address = config->script[survivor][own.op % FILTER_SCRIPT].address;

	for (unsigned i = 0; i < FILTER_THREADS; i++) {
		if (i == survivor)
			continue;
		memset(&state->threads[i], 0, sizeof state->threads[i]);
		state->threads[i].stopped = 1;
	}
	bool reallocating =
		own.in_map && state->cells[filter_key_cell(address, own.slot)] == FILTER_LIMBO;
	resume_reallocs(state);
	if (reallocating) {
		state->cells[filter_key_cell(address, own.slot)] = FILTER_LIMBO;
		state->cells[FILTER_POINTER + address] = 0;
	}
	state->forked = 1;
}

/* Nothing will move this thread unless another one does something. */
static bool still(
	const struct filter_state *state, const struct filter_config *config, unsigned thread)
{
	const struct filter_thread *t = &state->threads[thread];

	if (t->buffer.count)
		return false;
	if (t->stopped || filter_state_script_ended(config, t, thread))
		return true;
	unsigned op = config->script[thread][t->op].op;
	unsigned address = config->script[thread][t->op].address;

	if (t->pc != 0 || op == FILTER_REBUILD)
		return false;
	return op == FILTER_FREE || op == FILTER_REALLOC ? !state->cells[FILTER_POINTER + address]
							 : state->cells[FILTER_USED + address];
}

static unsigned entries_on(
	const struct filter_state *state, const struct filter_config *config, unsigned cell)
{
	unsigned entries = 0;

	for (unsigned address = 0; address < FILTER_ADDRESSES; address++)
		for (unsigned slot = 0; slot < FILTER_SLOTS; slot++) {
			uint8_t key = state->cells[filter_key_cell(address, slot)];

			if (key != FILTER_FINAL && key != FILTER_LIMBO)
				continue;
			for (unsigned i = 0; i < FILTER_HASHES; i++)
				entries += config->cells[address][i] == cell;
		}
	return entries;
}

static const char *broken_at_rest(
	const struct filter_state *state, const struct filter_config *config)
{
	for (unsigned cell = 0; cell < FILTER_CELLS; cell++) {
		unsigned entries = entries_on(state, config, cell);
		unsigned count = state->cells[FILTER_COUNT + cell];

		if (count == config->saturation)
			continue;
		if (count < entries)
			return "a cell counts fewer blocks than lie on it";
		if (count > entries && !state->kills && !state->forked)
			return "a cell counts more blocks than lie on it";
	}
	return NULL;
}

const char *filter_state_broken(
	const struct filter_state *state, const struct filter_config *config)
{
	if (state->overflow)
		return "the model's own bounds are too small";
	if (state->missed)
		return "a free passed by a block that is in the map";
	if (config->faults & FILTER_SWAPPED)
		return NULL;
	for (unsigned thread = 0; thread < FILTER_THREADS; thread++)
		if (!still(state, config, thread))
			return NULL;
	return broken_at_rest(state, config);
}
