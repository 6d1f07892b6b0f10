/*
 * Announce and retire, as agent/announce.c and agent/ring_producer.c do them: a lease, room for the
 * record (and for a DEATH besides), the record and its head, the mark.
 */
#include "model/announce_step.h"
#include <string.h>

static void no_ring(struct step *s, bool retiring)
{
	struct state_thread *t = step_self(s);

	if (retiring && step_faulty(s, ANNOUNCE_UNCOUNTED_LOSS))
		;
	else if (t->epoch == 0)
		step_count_loss(s, retiring);
	t->ring = 0;
	step_go(s, t->return_to);
	step_done(s, t->epoch ? "no ring: another turn" : "no ring: a counted loss");
}

static void lease(struct step *s, enum step_pc next)
{
	struct state_thread *t = step_self(s);

	if (t->ring == s->config->rings) {
		no_ring(s, next == RET_ROOM);
	} else if (s->state.cells[STATE_LEASE + t->ring] != 0) {
		t->ring++;
		step_done(s, "ring is leased");
	} else {
		s->state.cells[STATE_LEASE + t->ring] = (uint8_t)(s->thread + 1);
		step_go(s, next);
		step_done(s, "lease a ring");
	}
}

static void room(struct step *s, bool announcing)
{
	struct state_thread *t = step_self(s);
	bool ends = t->epoch != 0 && t->id == 0;
	unsigned need = announcing && !ends && !step_faulty(s, ANNOUNCE_NO_ROOM_FOR_DEATH) ? 2 : 1;
	bool early_mark = announcing && step_faulty(s, ANNOUNCE_MARK_BEFORE_BIRTH);

	if (state_pending(&s->state, t, t->ring) + need > s->config->ring_capacity) {
		step_store(s, STATE_LEASE + t->ring, 0);
		t->ring++;
		step_go(s, announcing ? ANN_LEASE : RET_LEASE);
		step_done(s, "ring is full");
		return;
	}
	bool claims = t->epoch != 0 && !step_faulty(s, ANNOUNCE_CLAIM_FIRST);
	step_go(s, !announcing	? RET_WRITE
		   : claims	? WALK_CLAIM
		   : early_mark ? ANN_EARLY_MARK
				: ANN_WRITE);
	step_done(s, "ring has room");
}

/* The copy of an entry that its own malloc did not announce: id, key, the rest, key and id again.
 */
void step_copy_entry(struct step *s)
{
	struct state_thread *t = step_self(s);
	uint8_t key = step_load(s, STATE_KEY + t->slot);
	uint8_t id = step_load(s, STATE_ID_MARK + t->slot) >> 1;

	switch (t->pc) {
	case ANN_ID:
	case ANN_LATE_ID:
		if (id == 0)
			break;
		t->id = id;
		step_go(s, t->pc == ANN_ID ? ANN_KEY : ANN_PAYLOAD);
		step_done(s, "announce: the id");
		return;
	case ANN_KEY:
		if (key >> 4 != STATE_FINAL)
			break;
		t->address = key & 15;
		step_go(s, step_faulty(s, ANNOUNCE_KEY_BEFORE_ID) ? ANN_LATE_ID : ANN_PAYLOAD);
		step_done(s, "announce: FINAL");
		return;
	case ANN_PAYLOAD:
		t->payload = step_load(s, STATE_PAYLOAD + t->slot);
		step_go(s, step_faulty(s, ANNOUNCE_NO_COPY_CHECK) ? ANN_LEASE : ANN_KEY_AGAIN);
		step_done(s, "announce: the rest");
		return;
	case ANN_KEY_AGAIN:
		if (key != state_key(STATE_FINAL, t->address))
			break;
		step_go(s, ANN_ID_AGAIN);
		step_done(s, "announce: key unchanged");
		return;
	default: /* ANN_ID_AGAIN */
		if (id != t->id)
			break;
		step_go(s, ANN_LEASE);
		step_done(s, "announce: id unchanged");
		return;
	}
	step_go(s, t->return_to);
	step_done(s, "announce: not FINAL, or changed");
}

/* By read-modify-write: whether the entry still lives. Whoever sets the mark counts it in the
 * digest; finding it set means that another announcer was faster, not that the block is gone. */
static bool mark(struct step *s)
{
	const struct state_thread *t = step_self(s);
	uint8_t *id_mark = &s->state.cells[STATE_ID_MARK + t->slot];
	uint8_t unmarked = (uint8_t)(t->id << 1);

	if (*id_mark == unmarked || step_faulty(s, ANNOUNCE_NO_SECOND_LOOK) ||
		(step_faulty(s, ANNOUNCE_MARK_ANY_TENANT) && *id_mark)) {
		s->state.digest[t->id]++;
		*id_mark |= 1;
		return true;
	}
	return *id_mark == (unmarked | 1) && !step_faulty(s, ANNOUNCE_MARKED_IS_GONE);
}

void step_announce(struct step *s)
{
	struct state_thread *t = step_self(s);
	bool told = step_faulty(s, ANNOUNCE_MARK_BEFORE_BIRTH);

	switch (t->pc) {
	case ANN_EARLY_MARK:
		step_go(s, mark(s) ? ANN_WRITE : ANN_UNLEASE);
		step_done(s, "mark before the record");
		return;
	case ANN_WRITE:
		s->state.wrong_record |= t->payload != t->id;
		if (t->epoch != 0 && t->id == 0)
			step_append(s, STATE_END, t->lives);
		else
			step_append(s, STATE_BIRTH, t->id);
		t->announcing = t->id;
		step_go(s, told || t->id == 0 ? ANN_UNLEASE : ANN_MARK);
		step_done(s, t->id == 0 ? "END" : t->epoch ? "LIVE" : "BIRTH");
		return;
	case ANN_MARK:
		if (mark(s)) {
			step_go(s, ANN_UNLEASE);
			step_done(s, "mark");
			return;
		}
		if (state_pending(&s->state, t, t->ring) < s->config->ring_capacity)
			step_append(s, STATE_DEATH, t->id);
		step_go(s, ANN_UNLEASE);
		step_done(s, "gone: DEATH in the same lease");
		return;
	default: /* ANN_UNLEASE */
		t->announcing = 0;
		step_store(s, STATE_LEASE + t->ring, 0);
		t->ring = 0;
		step_go(s, t->return_to);
		step_done(s, "release the ring");
		return;
	}
}

static void retired(struct step *s, uint8_t id_mark)
{
	struct state_thread *t = step_self(s);
	bool announced = id_mark & 1;

	t->id = id_mark >> 1;
	if (announced)
		s->state.digest[t->id]--;
	if (!step_faulty(s, ANNOUNCE_TOMB_TOO_EARLY))
		step_store(s, STATE_KEY + t->slot, state_key(STATE_TOMB, 0));
	t->ring = 0;
	step_go(s, announced ? RET_LEASE : t->return_to);
	step_done(s, announced ? "retire: was announced" : "retire: was not announced");
}

void step_retire(struct step *s)
{
	struct state_thread *t = step_self(s);
	uint8_t *key = &s->state.cells[STATE_KEY + t->slot];
	uint8_t *id_mark = &s->state.cells[STATE_ID_MARK + t->slot];
	uint8_t taken = *id_mark;

	switch (t->pc) {
	case RET_CLAIM:
		if (*key != state_key(t->suspended ? STATE_LIMBO : STATE_FINAL, t->address)) {
			step_go(s, t->return_to);
			step_done(s, "retire: somebody else did");
			return;
		}
		*key = state_key(
			step_faulty(s, ANNOUNCE_TOMB_TOO_EARLY) ? STATE_TOMB : STATE_BUSY, 0);
		step_go(s, RET_TAKE_MARK);
		step_done(s, "retire: claim the entry");
		return;
	case RET_TAKE_MARK:
		if (step_faulty(s, ANNOUNCE_RETIRE_IN_TWO)) {
			t->payload = taken;
			step_go(s, RET_CLEAR_MARK);
			step_done(s, "retire: read the mark");
			return;
		}
		*id_mark = 0;
		retired(s, taken);
		return;
	case RET_CLEAR_MARK:
		*id_mark = 0;
		taken = t->payload;
		t->payload = 0;
		retired(s, taken);
		return;
	default: /* RET_WRITE */
		step_append(s, STATE_DEATH, t->id);
		step_store(s, STATE_LEASE + t->ring, 0);
		t->ring = 0;
		step_go(s, t->return_to);
		step_done(s, "DEATH, release the ring");
		return;
	}
}

void step_lease_for_birth(struct step *s)
{
	lease(s, ANN_ROOM);
}

void step_lease_for_death(struct step *s)
{
	lease(s, RET_ROOM);
}

void step_room_for_birth(struct step *s)
{
	room(s, true);
}

void step_room_for_death(struct step *s)
{
	room(s, false);
}
