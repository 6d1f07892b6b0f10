/*
 * One step of a thread is one access to memory that others can see; what only its own registers see
 * is done along with it. Stores enter the thread's buffer, and each becomes visible by a step of
 * its own.
 */
#include "model/announce_model.h"
#include <stdio.h>
#include <string.h>
#include "model/announce_state.h"

enum pc {
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
};

struct stepper {
	struct explore *search;
	const struct announce_config *config;
	struct state state; /* the successor under construction */
	unsigned thread;
};

static bool faulty(const struct stepper *s, enum announce_fault fault)
{
	return s->config->faults & fault;
}

static struct state_thread *self(struct stepper *s)
{
	return &s->state.threads[s->thread];
}

static uint8_t load(struct stepper *s, unsigned cell)
{
	return state_load(&s->state, self(s), cell);
}

static void store(struct stepper *s, unsigned cell, uint8_t value)
{
	state_store(&s->state, self(s), cell, value);
}

static void go(struct stepper *s, enum pc pc)
{
	self(s)->pc = (uint8_t)pc;
}

static void done(struct stepper *s, const char *what)
{
	char label[48];
	const struct state_thread *t = self(s);

	snprintf(label, sizeof label, "%c: %.28s (slot %u, id %u)", (int)('A' + s->thread), what,
		t->slot % 10u, t->id % 10u);
	explore_reached(s->search, &s->state, label);
}

static void append(struct stepper *s, enum state_record type, uint8_t id, uint8_t payload)
{
	store(s, STATE_APPEND + self(s)->ring, (uint8_t)(type | id | payload << 3));
}

static uint8_t op_of(const struct stepper *s)
{
	return s->config->script[s->thread][s->state.threads[s->thread].op].op;
}

static uint8_t pointer_of(const struct stepper *s)
{
	return s->config->script[s->thread][s->state.threads[s->thread].op].pointer;
}

/* Registers are zero between operations, so that equal situations are equal states. */
static void clear_registers(struct state_thread *t)
{
	t->slot = t->id = t->payload = t->ring = t->address = t->new_address = t->suspended =
		t->return_to = 0;
}

static void begin_op(struct stepper *s)
{
	static const uint8_t entry[] = {
		[ANNOUNCE_MALLOC] = REAL_MALLOC,
		[ANNOUNCE_MALLOC_LOST] = REAL_MALLOC,
		[ANNOUNCE_FREE] = WAIT_POINTER,
		[ANNOUNCE_FREE_EARLY] = WAIT_POINTER,
		[ANNOUNCE_REALLOC] = WAIT_POINTER,
		[ANNOUNCE_LATE] = LATE_SLOT,
	};

	if (state_script_ended(s->config, s->thread, self(s)->op))
		return;
	clear_registers(self(s));
	go(s, entry[op_of(s)]);
	done(s, "begin");
}

static void end_op(struct stepper *s)
{
	clear_registers(self(s));
	self(s)->op++;
	go(s, NEXT_OP);
}

/* Any free address: one successor each. The real allocator synchronizes itself. */
static void real_malloc(struct stepper *s)
{
	const struct state before = s->state;

	for (uint8_t address = 0; address < s->config->addresses; address++) {
		if (before.cells[STATE_USED + address])
			continue;
		s->state = before;
		s->state.cells[STATE_USED + address] = 1;
		self(s)->address = address;
		go(s, PROBE);
		done(s, "real malloc");
	}
}

/* Insertion owns the address, so an entry that is there already is stale: its free was never seen.
 */
static void probe(struct stepper *s)
{
	struct state_thread *t = self(s);

	if (load(s, STATE_KEY + t->slot) == state_key(STATE_FINAL, t->address)) {
		t->return_to = PROBE;
		go(s, RET_CLAIM);
		done(s, "insert finds a stale entry");
		return;
	}
	if (++t->slot == s->config->slots) {
		t->slot = 0;
		go(s, RESERVE);
	}
	done(s, "insert probes");
}

static void reserve(struct stepper *s)
{
	struct state_thread *t = self(s);
	unsigned slot = s->state.cells[STATE_KEY + t->slot] >> 4;

	if (slot == STATE_EMPTY || slot == STATE_TOMB) {
		s->state.cells[STATE_KEY + t->slot] = state_key(STATE_BUSY, 0);
		go(s, DRAW);
		done(s, "reserve");
	} else if (t->slot + 1 < s->config->slots) {
		t->slot++;
		done(s, "reserve: slot taken");
	}
	/* else it waits: dropping samples is not what is modelled here. */
}

static void draw(struct stepper *s)
{
	struct state_thread *t = self(s);

	t->id = t->payload = ++s->state.last_id;
	go(s, FILL);
	done(s, "draw an id");
}

static void fill(struct stepper *s)
{
	struct state_thread *t = self(s);

	store(s, STATE_ID_MARK + t->slot, (uint8_t)(t->id << 1));
	store(s, STATE_PAYLOAD + t->slot, t->payload);
	store(s, STATE_KEY + t->slot, state_key(STATE_FINAL, t->address));
	t->return_to = RETURN_POINTER;
	t->ring = 0;
	if (op_of(s) == ANNOUNCE_MALLOC_LOST) {
		s->state.lost_births |= state_bit(t->id);
		go(s, RETURN_POINTER);
	} else {
		/* What is announced in malloc was never copied from the slot. */
		go(s, ANN_LEASE);
	}
	done(s, "fill the entry, FINAL");
}

static void return_pointer(struct stepper *s)
{
	struct state_thread *t = self(s);
	unsigned pointer = pointer_of(s) + (op_of(s) == ANNOUNCE_REALLOC);

	store(s, STATE_POINTER + pointer, (uint8_t)(t->address + 1));
	end_op(s);
	done(s, "malloc returns");
}

static void no_ring(struct stepper *s, bool retiring)
{
	struct state_thread *t = self(s);

	if (!retiring)
		s->state.lost_births |= state_bit(t->id);
	else if (!faulty(s, ANNOUNCE_UNCOUNTED_LOSS))
		s->state.lost_deaths |= state_bit(t->id);
	t->ring = 0;
	go(s, t->return_to);
	done(s, "no ring: a counted loss");
}

static void lease(struct stepper *s, enum pc next)
{
	struct state_thread *t = self(s);

	if (t->ring == s->config->rings) {
		no_ring(s, next == RET_ROOM);
	} else if (s->state.cells[STATE_LEASE + t->ring] != 0) {
		t->ring++;
		done(s, "ring is leased");
	} else {
		s->state.cells[STATE_LEASE + t->ring] = (uint8_t)(s->thread + 1);
		go(s, next);
		done(s, "lease a ring");
	}
}

static void room(struct stepper *s, bool announcing)
{
	struct state_thread *t = self(s);
	unsigned need = announcing && !faulty(s, ANNOUNCE_NO_ROOM_FOR_DEATH) ? 2 : 1;
	bool early_mark = announcing && faulty(s, ANNOUNCE_MARK_BEFORE_BIRTH);

	if (state_pending(&s->state, t, t->ring) + need > s->config->ring_capacity) {
		store(s, STATE_LEASE + t->ring, 0);
		t->ring++;
		go(s, announcing ? ANN_LEASE : RET_LEASE);
		done(s, "ring is full");
		return;
	}
	go(s, !announcing ? RET_WRITE : early_mark ? ANN_EARLY_MARK : ANN_WRITE);
	done(s, "ring has room");
}

/* The copy of an entry that its own malloc did not announce: id, key, the rest, key and id again.
 */
static void copy_entry(struct stepper *s)
{
	struct state_thread *t = self(s);
	uint8_t key = load(s, STATE_KEY + t->slot);
	uint8_t id = load(s, STATE_ID_MARK + t->slot) >> 1;

	switch (t->pc) {
	case ANN_ID:
	case ANN_LATE_ID:
		if (id == 0)
			break;
		t->id = id;
		go(s, t->pc == ANN_ID ? ANN_KEY : ANN_PAYLOAD);
		done(s, "announce: the id");
		return;
	case ANN_KEY:
		if (key >> 4 != STATE_FINAL)
			break;
		t->address = key & 15;
		go(s, faulty(s, ANNOUNCE_KEY_BEFORE_ID) ? ANN_LATE_ID : ANN_PAYLOAD);
		done(s, "announce: FINAL");
		return;
	case ANN_PAYLOAD:
		t->payload = load(s, STATE_PAYLOAD + t->slot);
		go(s, faulty(s, ANNOUNCE_NO_COPY_CHECK) ? ANN_LEASE : ANN_KEY_AGAIN);
		done(s, "announce: the rest");
		return;
	case ANN_KEY_AGAIN:
		if (key != state_key(STATE_FINAL, t->address))
			break;
		go(s, ANN_ID_AGAIN);
		done(s, "announce: key unchanged");
		return;
	default: /* ANN_ID_AGAIN */
		if (id != t->id)
			break;
		go(s, ANN_LEASE);
		done(s, "announce: id unchanged");
		return;
	}
	go(s, t->return_to);
	done(s, "announce: not FINAL, or changed");
}

/* By read-modify-write: whether the entry still lives. Whoever sets the mark counts it in the
 * digest; finding it set means that another announcer was faster, not that the block is gone. */
static bool mark(struct stepper *s)
{
	const struct state_thread *t = self(s);
	uint8_t *id_mark = &s->state.cells[STATE_ID_MARK + t->slot];
	uint8_t unmarked = (uint8_t)(t->id << 1);

	if (*id_mark == unmarked || faulty(s, ANNOUNCE_NO_SECOND_LOOK) ||
		(faulty(s, ANNOUNCE_MARK_ANY_TENANT) && *id_mark)) {
		s->state.digest[t->id]++;
		*id_mark |= 1;
		return true;
	}
	return *id_mark == (unmarked | 1) && !faulty(s, ANNOUNCE_MARKED_IS_GONE);
}

static void announce(struct stepper *s)
{
	struct state_thread *t = self(s);
	bool told = faulty(s, ANNOUNCE_MARK_BEFORE_BIRTH);

	switch (t->pc) {
	case ANN_EARLY_MARK:
		go(s, mark(s) ? ANN_WRITE : ANN_UNLEASE);
		done(s, "mark before the record");
		return;
	case ANN_WRITE:
		s->state.wrong_record |= t->payload != t->id;
		append(s, STATE_BIRTH, t->id, t->payload);
		t->announcing = t->id;
		go(s, told ? ANN_UNLEASE : ANN_MARK);
		done(s, "BIRTH");
		return;
	case ANN_MARK:
		if (mark(s)) {
			go(s, ANN_UNLEASE);
			done(s, "mark");
			return;
		}
		if (state_pending(&s->state, t, t->ring) < s->config->ring_capacity)
			append(s, STATE_DEATH, t->id, 0);
		go(s, ANN_UNLEASE);
		done(s, "gone: DEATH in the same lease");
		return;
	default: /* ANN_UNLEASE */
		t->announcing = 0;
		store(s, STATE_LEASE + t->ring, 0);
		t->ring = 0;
		go(s, t->return_to);
		done(s, "release the ring");
		return;
	}
}

static void retired(struct stepper *s, uint8_t id_mark)
{
	struct state_thread *t = self(s);
	bool announced = id_mark & 1;

	t->id = id_mark >> 1;
	if (announced)
		s->state.digest[t->id]--;
	if (!faulty(s, ANNOUNCE_TOMB_TOO_EARLY))
		store(s, STATE_KEY + t->slot, state_key(STATE_TOMB, 0));
	t->ring = 0;
	go(s, announced ? RET_LEASE : t->return_to);
	done(s, announced ? "retire: was announced" : "retire: was not announced");
}

static void retire(struct stepper *s)
{
	struct state_thread *t = self(s);
	uint8_t *key = &s->state.cells[STATE_KEY + t->slot];
	uint8_t *id_mark = &s->state.cells[STATE_ID_MARK + t->slot];
	uint8_t taken = *id_mark;

	switch (t->pc) {
	case RET_CLAIM:
		if (*key != state_key(t->suspended ? STATE_LIMBO : STATE_FINAL, t->address)) {
			go(s, t->return_to);
			done(s, "retire: somebody else did");
			return;
		}
		*key = state_key(faulty(s, ANNOUNCE_TOMB_TOO_EARLY) ? STATE_TOMB : STATE_BUSY, 0);
		go(s, RET_TAKE_MARK);
		done(s, "retire: claim the entry");
		return;
	case RET_TAKE_MARK:
		if (faulty(s, ANNOUNCE_RETIRE_IN_TWO)) {
			t->payload = taken;
			go(s, RET_CLEAR_MARK);
			done(s, "retire: read the mark");
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
		append(s, STATE_DEATH, t->id, 0);
		store(s, STATE_LEASE + t->ring, 0);
		t->ring = 0;
		go(s, t->return_to);
		done(s, "DEATH, release the ring");
		return;
	}
}

static void wait_pointer(struct stepper *s)
{
	struct state_thread *t = self(s);
	uint8_t pointer = load(s, STATE_POINTER + pointer_of(s));
	bool early = op_of(s) == ANNOUNCE_FREE_EARLY;

	if (early && s->state.cells[STATE_KEY] == state_key(STATE_FINAL, 0))
		pointer = 1;
	if (!pointer)
		return;
	t->address = pointer - 1;
	bool free_first = op_of(s) == ANNOUNCE_FREE && faulty(s, ANNOUNCE_REMOVE_AFTER_FREE);
	bool realloc_first = op_of(s) == ANNOUNCE_REALLOC && faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS);
	go(s, free_first ? REAL_FREE : realloc_first ? REAL_REALLOC : LOOK_UP);
	done(s, "the program has the pointer");
}

/* What follows the look-up, whether it found the block or not. */
static enum pc after_look_up(struct stepper *s)
{
	if (op_of(s) == ANNOUNCE_REALLOC)
		return faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ? REALLOC_DONE : REAL_REALLOC;
	return faulty(s, ANNOUNCE_REMOVE_AFTER_FREE) ? NEXT_OP : REAL_FREE;
}

/* By the program's own rules nobody but the caller frees this block, so its slot is stable once
 * found. */
static void look_up(struct stepper *s)
{
	struct state_thread *t = self(s);
	bool removes = op_of(s) != ANNOUNCE_REALLOC || faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ||
		       faulty(s, ANNOUNCE_REALLOC_REMOVES_FIRST);

	if (load(s, STATE_KEY + t->slot) == state_key(STATE_FINAL, t->address)) {
		t->return_to = (uint8_t)after_look_up(s);
		go(s, removes ? RET_CLAIM : ENTER_LIMBO);
		done(s, "found in the map");
		return;
	}
	if (++t->slot == s->config->slots) {
		t->slot = 0;
		go(s, after_look_up(s));
		if (after_look_up(s) == NEXT_OP)
			end_op(s);
	}
	done(s, "not in this slot");
}

static void real_free(struct stepper *s)
{
	store(s, STATE_USED + self(s)->address, 0);
	if (faulty(s, ANNOUNCE_REMOVE_AFTER_FREE))
		go(s, LOOK_UP);
	else
		end_op(s);
	done(s, "real free");
}

static void enter_limbo(struct stepper *s)
{
	struct state_thread *t = self(s);

	s->state.cells[STATE_KEY + t->slot] = state_key(STATE_LIMBO, t->address);
	t->suspended = 1;
	go(s, REAL_REALLOC);
	done(s, "LIMBO");
}

/* Fails, stays in place, or moves to any free address (the old one is free at once): a successor
 * each. */
static void real_realloc(struct stepper *s)
{
	const struct state before = s->state;
	uint8_t old = self(s)->address;

	for (uint8_t address = 0; address < s->config->addresses; address++) {
		if (address != old && before.cells[STATE_USED + address])
			continue;
		s->state = before;
		s->state.cells[STATE_USED + old] = 0;
		s->state.cells[STATE_USED + address] = 1;
		self(s)->new_address = address;
		go(s, faulty(s, ANNOUNCE_REALLOC_BY_ADDRESS) ? LOOK_UP : REALLOC_DONE);
		done(s, address == old ? "real realloc: in place" : "real realloc: moved");
	}
	s->state = before;
	go(s, REALLOC_FAILED);
	done(s, "real realloc: failed");
}

static void realloc_failed(struct stepper *s)
{
	struct state_thread *t = self(s);

	if (t->suspended)
		store(s, STATE_KEY + t->slot, state_key(STATE_FINAL, t->address));
	end_op(s);
	done(s, "realloc returns NULL");
}

/* The old entry dies by its slot, then the new block is inserted like a fresh one. */
static void realloc_done(struct stepper *s)
{
	struct state_thread *t = self(s);

	if (t->suspended && load(s, STATE_KEY + t->slot) == state_key(STATE_LIMBO, t->address)) {
		t->return_to = REALLOC_DONE;
		go(s, RET_CLAIM);
		done(s, "realloc succeeded");
		return;
	}
	t->address = t->new_address;
	t->slot = t->suspended = 0;
	go(s, PROBE);
	done(s, "the new block");
}

static void late(struct stepper *s)
{
	struct state_thread *t = self(s);

	if (t->pc == LATE_NEXT) {
		uint8_t slot = t->slot;

		clear_registers(t);
		t->slot = slot + 1;
		go(s, LATE_SLOT);
		done(s, "next slot");
		return;
	}
	if (t->slot == s->config->slots) {
		end_op(s);
		done(s, "all slots seen");
		return;
	}
	t->return_to = LATE_NEXT;
	bool pending = !(load(s, STATE_ID_MARK + t->slot) & 1);
	go(s, pending ? ANN_ID : LATE_NEXT);
	done(s, pending ? "not announced yet" : "nothing to announce");
}

/* Read-modify-writes wait for the thread's own stores. */
static bool needs_empty_buffer(uint8_t pc)
{
	switch (pc) {
	case REAL_MALLOC:
	case RESERVE:
	case DRAW:
	case ANN_LEASE:
	case ANN_EARLY_MARK:
	case ANN_MARK:
	case RET_CLAIM:
	case RET_TAKE_MARK:
	case RET_CLEAR_MARK:
	case RET_LEASE:
	case ENTER_LIMBO:
	case REAL_REALLOC:
		return true;
	default:
		return false;
	}
}

static void lease_for_birth(struct stepper *s)
{
	lease(s, ANN_ROOM);
}

static void lease_for_death(struct stepper *s)
{
	lease(s, RET_ROOM);
}

static void room_for_birth(struct stepper *s)
{
	room(s, true);
}

static void room_for_death(struct stepper *s)
{
	room(s, false);
}

static void step_thread(struct stepper *s)
{
	static void (*const steps[])(struct stepper *) = {
		[NEXT_OP] = begin_op,
		[REAL_MALLOC] = real_malloc,
		[PROBE] = probe,
		[RESERVE] = reserve,
		[DRAW] = draw,
		[FILL] = fill,
		[RETURN_POINTER] = return_pointer,
		[ANN_ID] = copy_entry,
		[ANN_KEY] = copy_entry,
		[ANN_LATE_ID] = copy_entry,
		[ANN_PAYLOAD] = copy_entry,
		[ANN_KEY_AGAIN] = copy_entry,
		[ANN_ID_AGAIN] = copy_entry,
		[ANN_LEASE] = lease_for_birth,
		[ANN_ROOM] = room_for_birth,
		[ANN_EARLY_MARK] = announce,
		[ANN_WRITE] = announce,
		[ANN_MARK] = announce,
		[ANN_UNLEASE] = announce,
		[RET_CLAIM] = retire,
		[RET_TAKE_MARK] = retire,
		[RET_CLEAR_MARK] = retire,
		[RET_LEASE] = lease_for_death,
		[RET_ROOM] = room_for_death,
		[RET_WRITE] = retire,
		[WAIT_POINTER] = wait_pointer,
		[LOOK_UP] = look_up,
		[REAL_FREE] = real_free,
		[ENTER_LIMBO] = enter_limbo,
		[REAL_REALLOC] = real_realloc,
		[REALLOC_FAILED] = realloc_failed,
		[REALLOC_DONE] = realloc_done,
		[LATE_SLOT] = late,
		[LATE_NEXT] = late,
	};
	const struct state_thread *t = self(s);

	if (!t->buffered || !needs_empty_buffer(t->pc))
		steps[t->pc](s);
}

static void step_daemon(struct stepper *s)
{
	char label[48];
	unsigned ring = s->state.draining;
	unsigned drained = state_drain(&s->state, s->config);

	snprintf(label, sizeof label, "daemon: ring %u, %u records, live %#04x%s", ring % 10u,
		drained % 10u, s->state.live, s->state.draining == 0 ? ", round" : "");
	explore_reached(s->search, &s->state, label);
}

static void step(struct explore *search, const void *state, const void *config)
{
	struct stepper s = {.search = search, .config = config};

	for (s.thread = 0; s.thread < ANNOUNCE_THREADS; s.thread++) {
		memcpy(&s.state, state, sizeof s.state);
		step_thread(&s);
		memcpy(&s.state, state, sizeof s.state);
		if (self(&s)->buffered) {
			state_commit(&s.state, self(&s));
			done(&s, "a store becomes visible");
		}
	}
	memcpy(&s.state, state, sizeof s.state);
	step_daemon(&s);
}

static const char *broken(const void *bytes, const void *config)
{
	struct state state;

	memcpy(&state, bytes, sizeof state);
	return state_broken(&state, config);
}

void announce_model_run(
	const struct announce_config *config, uint64_t max_states, struct explore_result *result)
{
	struct state initial;

	memset(&initial, 0, sizeof initial);
	const struct explore_system system = {
		.state_size = sizeof initial,
		.step = step,
		.broken = broken,
		.config = config,
	};
	explore_run(&system, &initial, max_states, result);
}
