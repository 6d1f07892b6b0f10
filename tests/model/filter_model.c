/*
 * One step of a thread is one access to memory that others can see. malloc: slot BUSY, count each
 * cell up, FINAL, return. free: read cells, take the slot, count each cell down, bury the slot,
 * real free.
 */
#include "model/filter_model.h"
#include <stdio.h>
#include <string.h>
#include "model/filter_state.h"

enum step_pc {
	NEXT_OP,
	CLAIM,
	LOOK,
	ADD,
	ADD_WRITE,
	FINAL,
	LOOK_AGAIN,
	RETURN,
	READ_GENERATION,
	READ,
	READ_AGAIN,
	TAKE,
	REMOVE,
	REMOVE_WRITE,
	BURY,
	REAL_FREE,
	REAL_REALLOC,
	RESUME,
	REBUILD_CLEAR,
	REBUILD_SCAN,
	REBUILD_SWAP,
};

struct step {
	struct explore *search;
	const struct filter_config *config;
	struct filter_state state; /* the successor under construction */
	unsigned thread;
};

static bool faulty(const struct step *s, enum filter_fault fault)
{
	return s->config->faults & fault;
}

static struct filter_thread *self(struct step *s)
{
	return &s->state.threads[s->thread];
}

static uint8_t op(struct step *s)
{
	return s->config->script[s->thread][self(s)->op].op;
}

static uint8_t address(struct step *s)
{
	return s->config->script[s->thread][self(s)->op].address;
}

static uint8_t load(struct step *s, unsigned cell)
{
	return store_buffer_load(&self(s)->buffer, s->state.cells, cell);
}

static void store(struct step *s, unsigned cell, uint8_t value)
{
	s->state.overflow |= !store_buffer_put(&self(s)->buffer, cell, value);
}

static unsigned own_key(struct step *s)
{
	return filter_key_cell(address(s), self(s)->slot);
}

static void reached(struct step *s, unsigned block, const char *what)
{
	char label[48];

	snprintf(label, sizeof label, "%c: %.30s (%u)", 'A' + (int)s->thread, what, block % 10u);
	explore_reached(s->search, &s->state, label);
}

static void go(struct step *s, enum step_pc pc, const char *what)
{
	self(s)->pc = (uint8_t)pc;
	reached(s, address(s), what);
}

/* Registers are zero between operations, so that equal situations are equal states. */
static void end_op(struct step *s, const char *what)
{
	struct filter_thread *t = self(s);
	unsigned block = address(s);

	t->pc = t->hash = t->slot = t->generation = t->read = t->resumes = t->in_map = 0;
	t->op++;
	reached(s, block, what);
}

/* The cell of the filter that this thread works on. */
static unsigned count_cell(struct step *s, unsigned generation)
{
	unsigned filter = faulty(s, FILTER_SWAPPED) ? generation & 1 : 0;

	return FILTER_COUNT + filter * FILTER_CELLS + s->config->cells[address(s)][self(s)->hash];
}

/* malloc and free of the real allocator, and the program's hand-over of a pointer. */

static void begin_op(struct step *s)
{
	uint8_t *used = &s->state.cells[FILTER_USED + address(s)];
	uint8_t *pointer = &s->state.cells[FILTER_POINTER + address(s)];

	switch (op(s)) {
	case FILTER_REBUILD:
		go(s, REBUILD_CLEAR, "rebuild");
		return;
	case FILTER_MALLOC:
	case FILTER_UNSAMPLED:
		if (*used)
			return;
		*used = 1;
		go(s, op(s) == FILTER_MALLOC ? CLAIM : RETURN, "real malloc");
		return;
	default:
		if (!*pointer)
			return;
		*pointer = 0;
		go(s, READ_GENERATION, "the program gives the block up");
		return;
	}
}

static void claim(struct step *s)
{
	for (self(s)->slot = 0; self(s)->slot < FILTER_SLOTS; self(s)->slot++) {
		if (s->state.cells[own_key(s)] != FILTER_FREE_SLOT)
			continue;
		s->state.cells[own_key(s)] = FILTER_BUSY;
		go(s, faulty(s, FILTER_ADD_AFTER_RETURN) ? FINAL : LOOK, "slot BUSY");
		return;
	}
	go(s, RETURN, "no slot: not sampled");
}

/* What swapping needs before and after: which filters are in use. */
static void look(struct step *s)
{
	struct filter_thread *t = self(s);
	uint8_t now = (uint8_t)(load(s, FILTER_GENERATION) << 1 | load(s, FILTER_NEXT));

	if (t->pc == LOOK_AGAIN) {
		go(s, now == t->generation ? RETURN : LOOK, "look again which filters are in use");
		return;
	}
	t->generation = now;
	t->hash = 0;
	go(s, ADD, "look which filters are in use");
}

/* The cell after an addition. A full one keeps its count for good. */
static uint8_t more(const struct step *s, uint8_t count)
{
	if (faulty(s, FILTER_SWAPPED))
		return 1;
	if (count < s->config->saturation)
		return (uint8_t)(count + 1);
	return faulty(s, FILTER_WRAP) ? 0 : count;
}

static uint8_t fewer(const struct step *s, uint8_t count)
{
	if (faulty(s, FILTER_SWAPPED))
		return count;
	if (faulty(s, FILTER_CLEAR_CELLS))
		return 0;
	if (count == 0 || (count == s->config->saturation && !faulty(s, FILTER_REMOVE_SATURATED)))
		return count;
	return (uint8_t)(count - 1);
}

static void add(struct step *s)
{
	struct filter_thread *t = self(s);
	unsigned cell = count_cell(s, t->generation >> 1);

	if (t->pc == ADD && faulty(s, FILTER_ADD_IN_TWO)) {
		t->read = load(s, cell);
		go(s, ADD_WRITE, "read a cell");
		return;
	}
	s->state.cells[cell] = more(s, t->pc == ADD ? s->state.cells[cell] : t->read);
	if (t->generation & 1) /* the next filter as well */
		s->state.cells[count_cell(s, (t->generation >> 1) + 1u)] = 1;
	t->read = 0;
	if (++t->hash < FILTER_HASHES)
		go(s, ADD, "count a cell up");
	else if (faulty(s, FILTER_ADD_AFTER_RETURN))
		end_op(s, "count the last cell up, late");
	else
		go(s, FINAL, "count the last cell up");
}

static void publish(struct step *s)
{
	store(s, own_key(s), FILTER_FINAL);
	go(s, faulty(s, FILTER_SWAPPED) ? LOOK_AGAIN : RETURN, "FINAL");
}

static void return_pointer(struct step *s)
{
	store(s, FILTER_POINTER + address(s), 1);
	if (faulty(s, FILTER_ADD_AFTER_RETURN) && self(s)->pc == RETURN && op(s) == FILTER_MALLOC)
		go(s, LOOK, "malloc returns");
	else
		end_op(s, "malloc returns");
}

static void after_filter(struct step *s, const char *what)
{
	go(s, op(s) == FILTER_FREE ? REAL_FREE : REAL_REALLOC, what);
}

/* A zero cell sends the block past the map: if it is there, that is what must not happen. */
static void pass_by(struct step *s)
{
	for (unsigned slot = 0; slot < FILTER_SLOTS; slot++)
		s->state.missed |=
			s->state.cells[filter_key_cell(address(s), slot)] == FILTER_FINAL;
	after_filter(s, "a zero: not sampled");
}

static void read_cell(struct step *s)
{
	struct filter_thread *t = self(s);

	if (load(s, count_cell(s, t->generation)) == 0) {
		if (faulty(s, FILTER_SWAP_LOOKS_AGAIN))
			go(s, READ_AGAIN, "a zero: look again");
		else
			pass_by(s);
		return;
	}
	if (++t->hash < FILTER_HASHES) {
		go(s, READ, "not zero");
		return;
	}
	t->hash = 0;
	go(s, faulty(s, FILTER_REMOVE_BEFORE_TAKE) ? REMOVE : TAKE, "no zero: look in the map");
}

static void read_generation(struct step *s)
{
	struct filter_thread *t = self(s);
	uint8_t now = load(s, FILTER_GENERATION);

	if (t->pc == READ_AGAIN && t->generation == now) {
		pass_by(s);
		return;
	}
	t->generation = now;
	t->hash = 0;
	go(s, READ, "which filter is in use");
}

static void take(struct step *s)
{
	bool frees = op(s) == FILTER_FREE;

	for (self(s)->slot = 0; self(s)->slot < FILTER_SLOTS; self(s)->slot++) {
		if (s->state.cells[own_key(s)] != FILTER_FINAL)
			continue;
		s->state.cells[own_key(s)] = frees ? FILTER_BUSY : FILTER_LIMBO;
		self(s)->in_map = 1;
		if (!frees)
			go(s, REAL_REALLOC, "LIMBO");
		else
			go(s, faulty(s, FILTER_REMOVE_BEFORE_TAKE) ? BURY : REMOVE, "take it");
		return;
	}
	self(s)->slot = 0;
	after_filter(s, "not in the map");
}

static void after_remove(struct step *s)
{
	self(s)->hash = 0;
	if (self(s)->resumes)
		go(s, RESUME, "count the last cell down");
	else
		go(s, faulty(s, FILTER_REMOVE_BEFORE_TAKE) && !self(s)->in_map ? TAKE : BURY,
			"count the last cell down");
}

static void remove_cell(struct step *s)
{
	struct filter_thread *t = self(s);
	unsigned cell = count_cell(s, 0);

	if (t->pc == REMOVE && faulty(s, FILTER_REMOVE_IN_TWO)) {
		t->read = load(s, cell);
		go(s, REMOVE_WRITE, "read a cell");
		return;
	}
	s->state.cells[cell] = fewer(s, t->pc == REMOVE ? s->state.cells[cell] : t->read);
	t->read = 0;
	if (++t->hash < FILTER_HASHES)
		go(s, REMOVE, "count a cell down");
	else
		after_remove(s);
}

static void bury(struct step *s)
{
	store(s, own_key(s), FILTER_FREE_SLOT);
	self(s)->in_map = self(s)->slot = 0;
	go(s, op(s) == FILTER_FREE ? REAL_FREE : CLAIM, "bury the slot");
}

static void real_free(struct step *s)
{
	s->state.cells[FILTER_USED + address(s)] = 0;
	end_op(s, "real free");
}

/* Fails, or succeeds in place: a death and a birth. */
static void real_realloc(struct step *s)
{
	const struct filter_state before = s->state;
	bool removes = self(s)->in_map && !faulty(s, FILTER_NO_REMOVE_ON_REALLOC);

	if (self(s)->in_map)
		s->state.cells[own_key(s)] = FILTER_BUSY;
	go(s, removes ? REMOVE : self(s)->in_map ? BURY : CLAIM, "real realloc: in place");
	s->state = before;
	self(s)->resumes = 1;
	removes = self(s)->in_map && faulty(s, FILTER_REMOVE_ON_FAILED_REALLOC);
	go(s, removes ? REMOVE : RESUME, "real realloc: failed");
}

static void resume(struct step *s)
{
	if (self(s)->in_map)
		store(s, own_key(s), FILTER_FINAL);
	store(s, FILTER_POINTER + address(s), 1);
	end_op(s, "realloc returns NULL");
}

/* Filling a second filter while the first one is in use, then swapping. */
static void rebuild(struct step *s)
{
	uint8_t *cells = s->state.cells;
	unsigned other = FILTER_COUNT + (~cells[FILTER_GENERATION] & 1u) * FILTER_CELLS;
	unsigned block = self(s)->slot;

	switch (self(s)->pc) {
	case REBUILD_CLEAR:
		memset(cells + other, 0, FILTER_CELLS);
		cells[FILTER_NEXT] = 1;
		go(s, REBUILD_SCAN, "clear the other filter, it is next");
		return;
	case REBUILD_SCAN:
		for (unsigned slot = 0; slot < FILTER_SLOTS; slot++)
			for (unsigned i = 0; i < FILTER_HASHES; i++)
				if (cells[filter_key_cell(block, slot)] != FILTER_FREE_SLOT)
					cells[other + s->config->cells[block][i]] = 1;
		if (++self(s)->slot < FILTER_ADDRESSES)
			go(s, REBUILD_SCAN, "scan");
		else
			go(s, REBUILD_SWAP, "scanned");
		return;
	default: /* REBUILD_SWAP */
		cells[FILTER_NEXT] = 0;
		cells[FILTER_GENERATION]++;
		end_op(s, "swap");
		return;
	}
}

/* Read-modify-writes wait for the thread's own stores. */
static bool needs_empty_buffer(uint8_t pc)
{
	switch (pc) {
	case FINAL:
	case LOOK:
	case RETURN:
	case READ_GENERATION:
	case READ:
	case READ_AGAIN:
	case BURY:
	case RESUME:
		return false;
	default:
		return true;
	}
}

static void step_thread(struct step *s)
{
	static void (*const steps[])(struct step *) = {
		[NEXT_OP] = begin_op,
		[CLAIM] = claim,
		[LOOK] = look,
		[ADD] = add,
		[ADD_WRITE] = add,
		[FINAL] = publish,
		[LOOK_AGAIN] = look, /* after a full fence */
		[RETURN] = return_pointer,
		[READ_GENERATION] = read_generation,
		[READ] = read_cell,
		[READ_AGAIN] = read_generation,
		[TAKE] = take,
		[REMOVE] = remove_cell,
		[REMOVE_WRITE] = remove_cell,
		[BURY] = bury,
		[REAL_FREE] = real_free,
		[REAL_REALLOC] = real_realloc,
		[RESUME] = resume,
		[REBUILD_CLEAR] = rebuild,
		[REBUILD_SCAN] = rebuild,
		[REBUILD_SWAP] = rebuild,
	};
	const struct filter_thread *t = self(s);

	if (filter_state_script_ended(s->config, t, s->thread))
		return;
	if (!t->buffer.count || !needs_empty_buffer(t->pc))
		steps[t->pc](s);
}

static void commit(struct step *s)
{
	uint8_t cell, value;

	store_buffer_take(&self(s)->buffer, &cell, &value);
	s->state.cells[cell] = value;
	explore_reached(s->search, &s->state, "a store becomes visible");
}

/* A thread's end anywhere, its stores still under way; and a fork anywhere by any thread, be it in
 * a signal handler. */
static void step_ends(struct step *s)
{
	const struct filter_state before = s->state;

	if (s->state.kills < s->config->kills) {
		self(s)->stopped = 1;
		s->state.kills++;
		explore_reached(s->search, &s->state, "a thread is killed");
		s->state = before;
	}
	if (s->config->fork && !s->state.forked && self(s)->buffer.count == 0) {
		filter_state_fork(&s->state, s->config, s->thread);
		explore_reached(s->search, &s->state, "a thread forks; on in the child");
	}
}

static void step(struct explore *search, const void *state, const void *config)
{
	struct step s = {.search = search, .config = config};

	for (s.thread = 0; s.thread < FILTER_THREADS; s.thread++) {
		memcpy(&s.state, state, sizeof s.state);
		if (self(&s)->buffer.count) {
			commit(&s);
			memcpy(&s.state, state, sizeof s.state);
		}
		if (self(&s)->stopped)
			continue;
		step_thread(&s);
		memcpy(&s.state, state, sizeof s.state);
		step_ends(&s);
	}
}

static const char *broken(const void *bytes, const void *config)
{
	struct filter_state state;

	memcpy(&state, bytes, sizeof state);
	return filter_state_broken(&state, config);
}

void filter_model_run(
	const struct filter_config *config, uint64_t max_states, struct explore_result *result)
{
	struct filter_state initial;

	memset(&initial, 0, sizeof initial);
	const struct explore_system system = {
		.state_size = sizeof initial,
		.step = step,
		.broken = broken,
		.config = config,
	};
	explore_run(&system, &initial, max_states, result);
}
