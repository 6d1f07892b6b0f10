/*
 * malloc, free and realloc of the program, each around the real allocator, and the heap map's slots
 * between them; and the sweep that announces late. The real allocator hands out any free address,
 * and synchronizes itself.
 */
#include "model/announce_step.h"
#include <string.h>

/* Any free address: one successor each. The real allocator synchronizes itself. */
void step_real_malloc(struct step *s)
{
	const struct state before = s->state;

	for (uint8_t address = 0; address < s->config->addresses; address++) {
		if (before.cells[STATE_USED + address])
			continue;
		s->state = before;
		s->state.cells[STATE_USED + address] = 1;
		step_self(s)->address = address;
		step_go(s, PROBE);
		step_done(s, "real malloc");
	}
}

/* Insertion owns the address, so an entry that is there already is stale: its free was never seen.
 */
void step_probe(struct step *s)
{
	struct state_thread *t = step_self(s);

	if (step_load(s, STATE_KEY + t->slot) == state_key(STATE_FINAL, t->address)) {
		t->return_to = PROBE;
		step_go(s, RET_CLAIM);
		step_done(s, "insert finds a stale entry");
		return;
	}
	if (++t->slot == s->config->slots) {
		t->slot = 0;
		step_go(s, RESERVE);
	}
	step_done(s, "insert probes");
}

void step_reserve(struct step *s)
{
	struct state_thread *t = step_self(s);
	unsigned slot = s->state.cells[STATE_KEY + t->slot] >> 4;

	if (slot == STATE_EMPTY || slot == STATE_TOMB) {
		s->state.cells[STATE_KEY + t->slot] = state_key(STATE_BUSY, 0);
		step_go(s, DRAW);
		step_done(s, "reserve");
	} else if (t->slot + 1 < s->config->slots) {
		t->slot++;
		step_done(s, "reserve: slot taken");
	}
	/* else it waits: dropping samples is not what is modelled here. */
}

void step_draw(struct step *s)
{
	struct state_thread *t = step_self(s);

	t->id = t->payload = ++s->state.last_id;
	step_go(s, FILL);
	step_done(s, "draw an id");
}

void step_fill(struct step *s)
{
	struct state_thread *t = step_self(s);

	step_store(s, STATE_ID_MARK + t->slot, (uint8_t)(t->id << 1));
	step_store(s, STATE_PAYLOAD + t->slot, t->payload);
	step_store(s, STATE_KEY + t->slot, state_key(STATE_FINAL, t->address));
	t->return_to = RETURN_POINTER;
	t->ring = 0;
	if (step_op(s) == ANNOUNCE_MALLOC_LOST) {
		step_count_loss(s, false);
		step_go(s, RETURN_POINTER);
	} else {
		/* What is announced in malloc was never copied from the slot. */
		step_go(s, ANN_LEASE);
	}
	step_done(s, "fill the entry, FINAL");
}

void step_return_pointer(struct step *s)
{
	struct state_thread *t = step_self(s);
	unsigned pointer = step_pointer(s) + (step_op(s) == ANNOUNCE_REALLOC);

	step_store(s, STATE_POINTER + pointer, (uint8_t)(t->address + 1));
	step_end_op(s);
	step_done(s, "malloc returns");
}

void step_wait_pointer(struct step *s)
{
	struct state_thread *t = step_self(s);
	uint8_t pointer = step_load(s, STATE_POINTER + step_pointer(s));
	bool early = step_op(s) == ANNOUNCE_FREE_EARLY;

	if (early && s->state.cells[STATE_KEY] == state_key(STATE_FINAL, 0))
		pointer = 1;
	if (!pointer)
		return;
	t->address = pointer - 1;
	bool free_first = step_op(s) == ANNOUNCE_FREE && step_faulty(s, ANNOUNCE_REMOVE_AFTER_FREE);
	bool realloc_first =
		step_op(s) == ANNOUNCE_REALLOC && step_faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS);
	step_go(s, free_first ? REAL_FREE : realloc_first ? REAL_REALLOC : LOOK_UP);
	step_done(s, "the program has the pointer");
}

/* What follows the look-up, whether it found the block or not. */
static enum step_pc after_look_up(struct step *s)
{
	if (step_op(s) == ANNOUNCE_REALLOC)
		return step_faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ? REALLOC_DONE : REAL_REALLOC;
	return step_faulty(s, ANNOUNCE_REMOVE_AFTER_FREE) ? NEXT_OP : REAL_FREE;
}

/* By the program's own rules nobody but the caller frees this block, so its slot is stable once
 * found. */
void step_look_up(struct step *s)
{
	struct state_thread *t = step_self(s);
	bool removes = step_op(s) != ANNOUNCE_REALLOC ||
		       step_faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ||
		       step_faulty(s, ANNOUNCE_REALLOC_REMOVES_FIRST);

	if (step_load(s, STATE_KEY + t->slot) == state_key(STATE_FINAL, t->address)) {
		t->return_to = (uint8_t)after_look_up(s);
		step_go(s, removes ? RET_CLAIM : ENTER_LIMBO);
		step_done(s, "found in the map");
		return;
	}
	if (++t->slot == s->config->slots) {
		t->slot = 0;
		step_go(s, after_look_up(s));
		if (after_look_up(s) == NEXT_OP)
			step_end_op(s);
	}
	step_done(s, "not in this slot");
}

void step_real_free(struct step *s)
{
	step_store(s, STATE_USED + step_self(s)->address, 0);
	if (step_faulty(s, ANNOUNCE_REMOVE_AFTER_FREE))
		step_go(s, LOOK_UP);
	else
		step_end_op(s);
	step_done(s, "real free");
}

void step_enter_limbo(struct step *s)
{
	struct state_thread *t = step_self(s);

	s->state.cells[STATE_KEY + t->slot] = state_key(STATE_LIMBO, t->address);
	t->suspended = 1;
	step_go(s, REAL_REALLOC);
	step_done(s, "LIMBO");
}

/* Fails, stays in place, or moves to any free address (the old one is free at once): a successor
 * each. */
void step_real_realloc(struct step *s)
{
	const struct state before = s->state;
	uint8_t old = step_self(s)->address;

	for (uint8_t address = 0; address < s->config->addresses; address++) {
		if (address != old && before.cells[STATE_USED + address])
			continue;
		s->state = before;
		s->state.cells[STATE_USED + old] = 0;
		s->state.cells[STATE_USED + address] = 1;
		step_self(s)->new_address = address;
		step_go(s, step_faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ? LOOK_UP : REALLOC_DONE);
		step_done(s, address == old ? "real realloc: in place" : "real realloc: moved");
	}
	s->state = before;
	step_go(s, REALLOC_FAILED);
	step_done(s, "real realloc: failed");
}

void step_realloc_failed(struct step *s)
{
	struct state_thread *t = step_self(s);

	if (t->suspended)
		step_store(s, STATE_KEY + t->slot, state_key(STATE_FINAL, t->address));
	step_end_op(s);
	step_done(s, "realloc returns NULL");
}

/* The old entry dies by its slot, then the new block is inserted like a fresh one. */
void step_realloc_done(struct step *s)
{
	struct state_thread *t = step_self(s);

	if (t->suspended &&
		step_load(s, STATE_KEY + t->slot) == state_key(STATE_LIMBO, t->address)) {
		t->return_to = REALLOC_DONE;
		step_go(s, RET_CLAIM);
		step_done(s, "realloc succeeded");
		return;
	}
	t->address = t->new_address;
	t->slot = t->suspended = 0;
	step_go(s, PROBE);
	step_done(s, "the new block");
}

void step_late(struct step *s)
{
	struct state_thread *t = step_self(s);

	if (t->pc == LATE_NEXT) {
		uint8_t slot = t->slot;

		step_clear_registers(t);
		t->slot = slot + 1;
		step_go(s, LATE_SLOT);
		step_done(s, "next slot");
		return;
	}
	if (t->slot == s->config->slots) {
		step_end_op(s);
		step_done(s, "all slots seen");
		return;
	}
	t->return_to = LATE_NEXT;
	bool pending = !(step_load(s, STATE_ID_MARK + t->slot) & 1);
	step_go(s, pending ? ANN_ID : LATE_NEXT);
	step_done(s, pending ? "not announced yet" : "nothing to announce");
}
