/*
 * A turn of a resync: look at the walk's word, at the slots from its cursor on until one lives,
 * lease a ring with room for a LIVE and a DEATH, claim by moving the word on, write LIVE, mark. A
 * turn that finds no living slot claims the end and writes END. Without room nothing is claimed.
 */
#include "model/announce_step.h"
#include <string.h>

static void turn(struct step *s)
{
	struct state_thread *t = step_self(s);
	struct state_walk *walk = &s->state.walk;

	if (walk->epoch == step_pointer(s) && walk->ended) {
		step_end_op(s);
		step_done(s, "the resync has been told");
		return;
	}
	step_clear_registers(t);
	t->epoch = s->state.request;
	if (t->epoch == 0 || (walk->epoch == t->epoch && walk->ended))
		return; /* until the daemon asks */
	step_go(s, WALK_BEGIN);
	step_done(s, "walk: what the daemon wants");
}

/* The first to see a request begins its walk; then a look at the word. */
static void begin(struct step *s)
{
	struct state_thread *t = step_self(s);
	struct state_walk *walk = &s->state.walk;

	if (walk->epoch < t->epoch) {
		*walk = (struct state_walk){.epoch = t->epoch};
		s->state.bound = s->state.last_id;
		step_done(s, "walk: begin");
		return;
	}
	t->epoch = walk->epoch;
	t->cursor = walk->cursor;
	t->lives = walk->lives;
	t->slot = walk->cursor;
	bool at_end = t->slot == s->config->slots;
	t->return_to = WALK_TURN;
	step_go(s, walk->ended ? WALK_TURN : at_end ? ANN_LEASE : WALK_ID);
	if (!walk->ended && step_faulty(s, ANNOUNCE_CLAIM_FIRST) && at_end)
		step_go(s, WALK_CLAIM);
	step_done(s, "walk: its word");
}

static void next_slot(struct step *s, const char *what)
{
	struct state_thread *t = step_self(s);
	bool claim_first = step_faulty(s, ANNOUNCE_CLAIM_FIRST);

	t->id = t->payload = t->address = 0;
	t->slot++;
	step_go(s, t->slot < s->config->slots ? WALK_ID : claim_first ? WALK_CLAIM : ANN_LEASE);
	step_done(s, what);
}

/* By what was read first: the id and its mark, then the key. */
static bool lives(struct step *s, uint8_t key)
{
	bool marked = step_self(s)->payload;

	switch (key >> 4) {
	case STATE_FINAL:
		return true;
	case STATE_LIMBO:
		return !step_faulty(s, ANNOUNCE_SKIP_LIMBO);
	case STATE_BUSY:
		return marked && !step_faulty(s, ANNOUNCE_SKIP_BUSY);
	default:
		return false;
	}
}

static void copy(struct step *s)
{
	struct state_thread *t = step_self(s);
	uint8_t id_mark = step_load(s, STATE_ID_MARK + t->slot);
	bool claim_first = step_faulty(s, ANNOUNCE_CLAIM_FIRST);

	switch (t->pc) {
	case WALK_ID:
		if (id_mark == 0) {
			next_slot(s, "walk: nothing lives here");
			return;
		}
		t->id = id_mark >> 1;
		t->payload = id_mark & 1;
		step_go(s, WALK_KEY);
		step_done(s, "walk: the id");
		return;
	case WALK_KEY:
		if (!lives(s, step_load(s, STATE_KEY + t->slot))) {
			next_slot(s, "walk: does not live");
			return;
		}
		step_go(s, WALK_PAYLOAD);
		step_done(s, "walk: lives");
		return;
	case WALK_PAYLOAD:
		t->payload = step_load(s, STATE_PAYLOAD + t->slot);
		step_go(s, WALK_ID_AGAIN);
		step_done(s, "walk: the rest");
		return;
	default: /* WALK_ID_AGAIN */
		if (id_mark >> 1 != t->id) {
			next_slot(s, "walk: changed");
			return;
		}
		step_go(s, claim_first ? WALK_CLAIM : ANN_LEASE);
		step_done(s, "walk: id unchanged");
		return;
	}
}

static void claimed(struct step *s, const char *what)
{
	step_go(s, step_faulty(s, ANNOUNCE_CLAIM_FIRST) ? ANN_LEASE : ANN_WRITE);
	step_done(s, what);
}

static void claim(struct step *s)
{
	struct state_thread *t = step_self(s);
	struct state_walk *walk = &s->state.walk;
	bool same_epoch = walk->epoch == t->epoch || t->pc == WALK_STORE ||
			  step_faulty(s, ANNOUNCE_CLAIM_ANY_EPOCH);

	if (t->pc == WALK_STORE)
		*walk = (struct state_walk){t->epoch, t->cursor, t->lives, 0};
	if (!same_epoch || walk->cursor != t->cursor || walk->lives != t->lives || walk->ended) {
		if (!step_faulty(s, ANNOUNCE_CLAIM_FIRST))
			step_store(s, STATE_LEASE + t->ring, 0);
		step_go(s, WALK_TURN);
		step_done(s, "walk: another walker was faster");
		return;
	}
	if (step_faulty(s, ANNOUNCE_CLAIM_IN_TWO) && t->pc == WALK_CLAIM) {
		step_go(s, WALK_STORE);
		step_done(s, "walk: nobody was faster");
		return;
	}
	t->epoch = walk->epoch;
	walk->ended = t->id == 0;
	walk->lives = (uint8_t)(t->lives + (t->id != 0));
	walk->cursor = (uint8_t)(t->slot + (t->id != 0));
	claimed(s, t->id ? "walk: claim the slot" : "walk: claim the end");
}

void step_walk(struct step *s)
{
	switch (step_self(s)->pc) {
	case WALK_TURN:
		turn(s);
		break;
	case WALK_BEGIN:
		begin(s);
		break;
	case WALK_CLAIM:
	case WALK_STORE:
		claim(s);
		break;
	default:
		copy(s);
		break;
	}
}
