/*
 * What the steps of tests/model/announce_model.h have in common: the successor under construction
 * and the thread that makes it. announce_heap.c has the steps of the program and of the heap map,
 * announce_protocol.c those of announce and retire, announce_resync.c those of a resync,
 * announce_model.c chooses between them. Each step ends in step_done() for every state it leads to,
 * or in none if it has to wait.
 */
#pragma once
#include <stdio.h>
#include "model/announce_state.h"

enum step_pc {
	NEXT_OP,
	/* malloc */
	REAL_MALLOC,
	PROBE,
	RESERVE,
	DRAW,
	FILL,
	RETURN_POINTER,
	/* announce, a subroutine */
	ANN_ID,
	ANN_KEY,
	ANN_LATE_ID,
	ANN_PAYLOAD,
	ANN_KEY_AGAIN,
	ANN_ID_AGAIN,
	ANN_LEASE,
	ANN_ROOM,
	ANN_EARLY_MARK,
	ANN_WRITE,
	ANN_MARK,
	ANN_UNLEASE,
	/* retire, a subroutine */
	RET_CLAIM,
	RET_TAKE_MARK,
	RET_CLEAR_MARK,
	RET_LEASE,
	RET_ROOM,
	RET_WRITE,
	/* free */
	WAIT_POINTER,
	LOOK_UP,
	REAL_FREE,
	/* realloc */
	ENTER_LIMBO,
	REAL_REALLOC,
	REALLOC_FAILED,
	REALLOC_DONE,
	/* late announcements */
	LATE_SLOT,
	LATE_NEXT,
	/* a resync; its records by the subroutine above */
	WALK_TURN,
	WALK_BEGIN,
	WALK_ID,
	WALK_KEY,
	WALK_PAYLOAD,
	WALK_ID_AGAIN,
	WALK_CLAIM,
	WALK_STORE,
};

struct step {
	struct explore *search;
	const struct announce_config *config;
	struct state state; /* the successor under construction */
	unsigned thread;
};

static inline bool step_faulty(const struct step *s, enum announce_fault fault)
{
	return s->config->faults & fault;
}

static inline struct state_thread *step_self(struct step *s)
{
	return &s->state.threads[s->thread];
}

static inline uint8_t step_load(struct step *s, unsigned cell)
{
	return state_load(&s->state, step_self(s), cell);
}

static inline void step_store(struct step *s, unsigned cell, uint8_t value)
{
	state_store(&s->state, step_self(s), cell, value);
}

static inline void step_go(struct step *s, enum step_pc pc)
{
	step_self(s)->pc = (uint8_t)pc;
}

static inline void step_done(struct step *s, const char *what)
{
	char label[48];
	const struct state_thread *t = step_self(s);

	snprintf(label, sizeof label, "%c: %.28s (slot %u, id %u)", (int)('A' + s->thread), what,
		t->slot % 10u, t->id % 10u);
	explore_reached(s->search, &s->state, label);
}

static inline void step_append(struct step *s, enum state_record type, uint8_t id)
{
	const struct state_thread *t = step_self(s);

	step_store(s, STATE_APPEND + t->ring, (uint8_t)(type | id | t->epoch << 3));
}

/* A BIRTH or a DEATH found no room; the daemon sees the counter. */
static inline void step_count_loss(struct step *s, bool death)
{
	*(death ? &s->state.lost_deaths : &s->state.lost_births) |= state_bit(step_self(s)->id);
	s->state.losses++;
}

static inline uint8_t step_op(const struct step *s)
{
	return s->config->script[s->thread][s->state.threads[s->thread].op].op;
}

static inline uint8_t step_pointer(const struct step *s)
{
	return s->config->script[s->thread][s->state.threads[s->thread].op].pointer;
}

/* Registers are zero between operations, so that equal situations are equal states. */
static inline void step_clear_registers(struct state_thread *t)
{
	t->slot = t->id = t->payload = t->ring = t->address = t->new_address = t->suspended =
		t->return_to = t->epoch = t->cursor = t->lives = 0;
}

static inline void step_end_op(struct step *s)
{
	step_clear_registers(step_self(s));
	step_self(s)->op++;
	step_go(s, NEXT_OP);
}

/* announce_heap.c */
void step_real_malloc(struct step *s);
void step_probe(struct step *s);
void step_reserve(struct step *s);
void step_draw(struct step *s);
void step_fill(struct step *s);
void step_return_pointer(struct step *s);
void step_wait_pointer(struct step *s);
void step_look_up(struct step *s);
void step_real_free(struct step *s);
void step_enter_limbo(struct step *s);
void step_real_realloc(struct step *s);
void step_realloc_failed(struct step *s);
void step_realloc_done(struct step *s);
void step_late(struct step *s);

/* announce_protocol.c */
void step_copy_entry(struct step *s);
void step_announce(struct step *s);
void step_retire(struct step *s);
void step_lease_for_birth(struct step *s);
void step_lease_for_death(struct step *s);
void step_room_for_birth(struct step *s);
void step_room_for_death(struct step *s);

/* announce_resync.c */
void step_walk(struct step *s);
