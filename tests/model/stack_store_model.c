/* Each function is one step: at most one access to what others can see, then the next pc. */
#include "model/stack_store_model.h"
#include <stdio.h>
#include <string.h>

enum { FREE, BUSY, FIRST };
enum { ENTRIES = STACK_STORE_MODEL_ENTRIES, BLOCKS = STACK_STORE_MODEL_BLOCKS + 1 };

enum pc {
	NEXT_OP,
	LOOK,
	TAKE_LOAD,
	TAKE_CAS,
	COMPARE,
	DROP,
	CLAIM,
	POP_LOAD,
	POP_WALK,
	POP_CAS,
	FILL_BLOCK,
	FILL_ENTRY,
	PUBLISH,
	GIVE_UP,
	PUSH_LOAD,
	PUSH_LINK,
	PUSH_CAS,
	SET_FREE,
	KILLED,
};

enum broken { SOUND, TWO_OWNERS, WRONG_STACK, TORN_STACK, UNDERFLOW };

struct thread {
	uint8_t pc, op;
	uint8_t wanted; /* stack; 0: any will do */
	uint8_t entry, count;
	uint8_t head, head_tag;
	uint8_t first, last, rest, have;	/* chain under way */
	uint8_t emptying;			/* the chain's entry is to be FREE in the end */
	uint8_t held[STACK_STORE_MODEL_SCRIPT]; /* entry + 1 */
};

struct state {
	uint8_t count[ENTRIES], hash[ENTRIES];
	uint8_t stack[ENTRIES], block[ENTRIES]; /* plain */
	uint8_t head, head_tag;
	uint8_t next[BLOCKS];
	uint8_t bytes[BLOCKS]; /* plain: the stack it is part of */
	uint8_t owned[BLOCKS]; /* not shared memory: what the search knows */
	uint8_t broken;
	struct thread threads[STACK_STORE_MODEL_THREADS];
};

struct step {
	const struct stack_store_model_config *config;
	struct state *s;
	struct thread *t;
};

static uint8_t blocks_of(uint8_t stack)
{
	return (uint8_t)((stack + 1) / 2);
}

static bool faulty(const struct step *p, enum stack_store_model_fault fault)
{
	return p->config->faults & fault;
}

static void go(const struct step *p, enum pc pc)
{
	p->t->pc = (uint8_t)pc;
}

static void end_op(const struct step *p, uint8_t held)
{
	struct thread *t = p->t;

	t->held[t->op] = held;
	t->wanted = t->entry = t->count = t->head = t->head_tag = 0;
	t->first = t->last = t->rest = t->have = t->emptying = 0;
	t->op++;
	go(p, NEXT_OP);
}

static void next_op(const struct step *p, uint8_t op, uint8_t what)
{
	if (op == STACK_STORE_MODEL_INTERN) {
		p->t->wanted = what;
		go(p, LOOK);
	} else if (op == STACK_STORE_MODEL_STALE) {
		p->t->entry = what;
		go(p, TAKE_LOAD);
	} else if (p->t->held[what] == 0) { /* there was no room for it */
		end_op(p, 0);
	} else {
		p->t->entry = (uint8_t)(p->t->held[what] - 1);
		p->t->held[what] = 0;
		go(p, DROP);
	}
}

/* What follows if this entry is not the one. */
static void look_on(const struct step *p)
{
	if (p->t->wanted == 0) {
		end_op(p, 0);
	} else if (++p->t->entry == p->config->entries) {
		p->t->entry = 0;
		go(p, CLAIM);
	} else {
		go(p, LOOK);
	}
}

static void look(const struct step *p)
{
	if (p->s->hash[p->t->entry] == p->t->wanted)
		go(p, TAKE_LOAD);
	else
		look_on(p);
}

static void take_load(const struct step *p)
{
	p->t->count = p->s->count[p->t->entry];
	if (p->t->count < FIRST && !faulty(p, STACK_STORE_MODEL_TAKE_ANY))
		look_on(p);
	else
		go(p, TAKE_CAS);
}

/* Without a tag: an entry that was freed and filled in between is as good as any other. */
static void take_cas(const struct step *p)
{
	uint8_t *count = &p->s->count[p->t->entry];

	if (*count != p->t->count && !faulty(p, STACK_STORE_MODEL_ADD_UNSEEN)) {
		go(p, TAKE_LOAD);
		return;
	}
	++*count;
	p->t->count = 0;
	go(p, COMPARE);
}

static void compare(const struct step *p)
{
	struct state *s = p->s;
	uint8_t entry = p->t->entry, stack = s->stack[entry], block = s->block[entry];

	for (unsigned i = 0; i < blocks_of(stack); i++, block = s->next[block])
		if (block == 0 || s->bytes[block] != stack)
			s->broken = TORN_STACK;
	if (p->t->wanted == 0) {
		go(p, DROP);
	} else if (stack == p->t->wanted) {
		end_op(p, (uint8_t)(entry + 1));
	} else if (faulty(p, STACK_STORE_MODEL_NO_COMPARE)) {
		s->broken = WRONG_STACK;
	} else {
		go(p, DROP);
	}
}

static void after_drop(const struct step *p)
{
	p->t->first = p->t->last = p->t->rest = p->t->have = p->t->emptying = 0;
	p->t->head = p->t->head_tag = 0;
	look_on(p);
}

static void drop(const struct step *p)
{
	uint8_t *count = &p->s->count[p->t->entry];

	if (*count < FIRST)
		p->s->broken = UNDERFLOW;
	if (--*count != BUSY) {
		after_drop(p);
		return;
	}
	if (faulty(p, STACK_STORE_MODEL_NO_BUSY))
		*count = FREE;
	p->t->emptying = 1;
	go(p, PUSH_LOAD);
}

static void claim(const struct step *p)
{
	uint8_t *count = &p->s->count[p->t->entry];

	if (*count != FREE) {
		if (++p->t->entry == p->config->entries)
			end_op(p, 0);
		return;
	}
	*count = faulty(p, STACK_STORE_MODEL_EARLY_PUBLISH) ? FIRST : BUSY;
	go(p, POP_LOAD);
}

static void pop_load(const struct step *p)
{
	p->t->head = p->t->first = p->t->last = p->s->head;
	p->t->head_tag = p->s->head_tag;
	p->t->have = 1;
	go(p, p->t->head ? POP_WALK : GIVE_UP);
}

static void pop_walk(const struct step *p)
{
	struct thread *t = p->t;

	t->rest = p->s->next[t->last];
	if (t->have == blocks_of(t->wanted)) {
		go(p, POP_CAS);
	} else if (t->rest == 0) { /* fewer than it wants: the real one pushes them back */
		go(p, GIVE_UP);
	} else {
		t->last = t->rest;
		t->have++;
	}
}

static void pop_cas(const struct step *p)
{
	struct state *s = p->s;
	uint8_t block = p->t->first;

	if (s->head != p->t->head || s->head_tag != p->t->head_tag) {
		go(p, POP_LOAD);
		return;
	}
	s->head = p->t->rest;
	s->head_tag = (uint8_t)(s->head_tag + !faulty(p, STACK_STORE_MODEL_NO_TAG));
	for (unsigned i = 0; i < p->t->have; i++, block = s->next[block]) {
		if (s->owned[block])
			s->broken = TWO_OWNERS;
		s->owned[block] = 1;
	}
	if (s->head != 0 && s->owned[s->head])
		s->broken = TWO_OWNERS;
	p->t->last = p->t->first;
	p->t->head = p->t->head_tag = p->t->rest = 0;
	go(p, FILL_BLOCK);
}

static void fill_block(const struct step *p)
{
	p->s->bytes[p->t->last] = p->t->wanted;
	p->t->last = p->s->next[p->t->last];
	if (--p->t->have == 0)
		go(p, FILL_ENTRY);
}

static void fill_entry(const struct step *p)
{
	p->s->stack[p->t->entry] = p->t->wanted;
	p->s->block[p->t->entry] = p->t->first;
	p->s->hash[p->t->entry] = p->t->wanted;
	go(p, PUBLISH);
}

static void publish(const struct step *p)
{
	if (!faulty(p, STACK_STORE_MODEL_EARLY_PUBLISH))
		p->s->count[p->t->entry] = FIRST;
	end_op(p, (uint8_t)(p->t->entry + 1));
}

static void give_up(const struct step *p)
{
	p->s->count[p->t->entry] = FREE;
	end_op(p, 0);
}

static void push_load(const struct step *p)
{
	struct thread *t = p->t;

	t->first = t->last = p->s->block[t->entry];
	for (unsigned i = 1; i < blocks_of(p->s->stack[t->entry]); i++)
		t->last = p->s->next[t->last];
	t->head = p->s->head;
	go(p, PUSH_LINK);
}

static void push_link(const struct step *p)
{
	p->s->next[p->t->last] = p->t->head;
	go(p, PUSH_CAS);
}

static void push_cas(const struct step *p)
{
	struct state *s = p->s;
	uint8_t block = p->t->first;

	if (s->head != p->t->head) {
		p->t->head = s->head;
		go(p, PUSH_LINK);
		return;
	}
	for (bool end = false; !end; block = s->next[block]) {
		end = block == p->t->last || block == 0;
		if (!s->owned[block])
			s->broken = TWO_OWNERS;
		s->owned[block] = 0;
	}
	s->head = p->t->first;
	go(p, SET_FREE);
}

static void set_free(const struct step *p)
{
	if (!faulty(p, STACK_STORE_MODEL_NO_BUSY))
		p->s->count[p->t->entry] = FREE;
	after_drop(p);
}

static void (*const steps[])(const struct step *) = {
	[LOOK] = look,
	[TAKE_LOAD] = take_load,
	[TAKE_CAS] = take_cas,
	[COMPARE] = compare,
	[DROP] = drop,
	[CLAIM] = claim,
	[POP_LOAD] = pop_load,
	[POP_WALK] = pop_walk,
	[POP_CAS] = pop_cas,
	[FILL_BLOCK] = fill_block,
	[FILL_ENTRY] = fill_entry,
	[PUBLISH] = publish,
	[GIVE_UP] = give_up,
	[PUSH_LOAD] = push_load,
	[PUSH_LINK] = push_link,
	[PUSH_CAS] = push_cas,
	[SET_FREE] = set_free,
};

static const char *const names[] = {"next", "look", "take: load", "take: CAS", "compare", "drop",
	"claim", "pop: load", "pop: next", "pop: CAS", "fill a block", "fill the entry", "publish",
	"give up", "push: load", "push: link", "push: CAS", "set free", "killed"};

static bool over(const struct stack_store_model_config *config, const struct state *s, unsigned i)
{
	const struct thread *t = &s->threads[i];

	return t->pc == KILLED || (t->pc == NEXT_OP && (t->op == STACK_STORE_MODEL_SCRIPT ||
							       config->script[i][t->op].op ==
								       STACK_STORE_MODEL_NOTHING));
}

static void reached(struct explore *search, const struct state *state, unsigned thread)
{
	char label[48];

	snprintf(label, sizeof label, "%c: %s (entry %u)", (int)('A' + thread),
		names[state->threads[thread].pc], state->threads[thread].entry % 10u);
	explore_reached(search, state, label);
}

static void step(struct explore *search, const void *state, const void *data)
{
	const struct stack_store_model_config *config = data;

	for (unsigned i = 0; i < STACK_STORE_MODEL_THREADS; i++) {
		struct state next;
		struct step p = {config, &next, &next.threads[i]};

		memcpy(&next, state, sizeof next);
		if (over(config, &next, i))
			continue;
		/* What a thread knew is no matter once it has ended. */
		if (config->kills) {
			memset(p.t, 0, sizeof *p.t);
			go(&p, KILLED);
			reached(search, &next, i);
			memcpy(&next, state, sizeof next);
		}
		/* The start of an operation touches nothing: part of its first step. */
		if (p.t->pc == NEXT_OP)
			next_op(&p, config->script[i][p.t->op].op, config->script[i][p.t->op].what);
		if (p.t->pc != NEXT_OP)
			steps[p.t->pc](&p);
		reached(search, &next, i);
	}
}

static unsigned free_blocks(const struct state *s)
{
	unsigned count = 0;

	for (uint8_t block = s->head; block != 0 && count < BLOCKS; block = s->next[block])
		count++;
	return count;
}

/* Whatever a thread still holds at its end belongs to nobody in the script: scripts release all. */
static const char *broken_at_the_end(
	const struct stack_store_model_config *config, const struct state *s)
{
	for (unsigned i = 0; i < STACK_STORE_MODEL_THREADS; i++)
		if (!over(config, s, i))
			return NULL;
	for (unsigned i = 0; i < config->entries; i++)
		if (s->count[i] != FREE && !config->kills)
			return "an entry is left";
	if (free_blocks(s) != config->blocks && !config->kills)
		return "a block is left";
	return NULL;
}

static const char *broken(const void *state, const void *data)
{
	static const char *const sentences[] = {NULL, "a block has two owners",
		"a stack was mistaken for another", "a stack was read that is not whole",
		"a count was given back that nobody had"};
	const struct state *s = state;

	if (s->broken != SOUND)
		return sentences[s->broken];
	return broken_at_the_end(data, s);
}

void stack_store_model_run(const struct stack_store_model_config *config, uint64_t max_states,
	struct explore_result *result)
{
	struct explore_system system = {.state_size = sizeof(struct state),
		.step = step,
		.broken = broken,
		.config = config};
	struct state initial = {.head = 1};

	for (uint8_t block = 1; block < config->blocks; block++)
		initial.next[block] = (uint8_t)(block + 1);
	explore_run(&system, &initial, max_states, result);
}
