/*
 * An entry is found by hash in an aligned window of 8. Where a window is full the next level (four
 * times as large) is tried, so a program with few stacks touches few pages; where all of them are
 * full, every level twice more with other windows, so that hardly a stack is refused before most
 * entries are in use. Entries never move and their memory keeps its type, so any thread may look at
 * refs and hash of any of them at any time; whatever else it wants to see, it takes a reference
 * first and compares afterwards. Two threads that bring the same new stack at once make two
 * entries, which is harmless.
 *
 * The low half of refs is 0 for FREE, 1 for BUSY and n + 1 for n references, so that the last
 * release becomes BUSY's owner by the very subtraction that gives its reference up: no loop. The
 * tag in the upper half rises with each FREE. Nothing here needs it, since what a reference means
 * is looked at after it was taken; it lets a reader from outside see that an entry was reused.
 *
 * Free blocks are a list under one word. A block's `next` is always an index of a block, whether it
 * is in the list, in a stack or on its way, so a popper may follow it before it knows whether the
 * list is still what it was: the tag tells, which rises with each pop. Between two pops blocks are
 * only put in front, so the same tag and the same first block mean the same list.
 */
#include "stack_store.h"
#include <errno.h>
#include "spprof/wire/record.h"

#define LEVEL0_ENTRIES	 512u
#define BLOCKS_PER_ENTRY 3u
#define CHOICES		 3u /* windows of each level */
#define ENTRIES_MAX	 (1u << 28)
#define CHAIN_MAX	 (WIRE_MAX_FRAMES * STACK_CODE_MAX / WIRE_BLOCK_BYTES + 1)

#define FREE	 0u
#define BUSY	 1u
#define FIRST	 2u /* one reference */
#define REFS_MAX (1u << 31)

/* Each turn that fails is another thread's success, so more than a few mean that the machine does
 * nothing else; still, nobody's malloc waits for others without end. */
#define TURNS 10000u

static uint32_t low_half(uint64_t word)
{
	return (uint32_t)word;
}

int stack_store_init(struct stack_store *store, void *memory, size_t size)
{
	size_t per_entry = sizeof *store->stacks + BLOCKS_PER_ENTRY * sizeof *store->blocks;
	size_t entries = size / per_entry;
	uint32_t left, first = 0;

	*store = (struct stack_store){0};
	entries = entries > ENTRIES_MAX ? ENTRIES_MAX : entries;
	left = (uint32_t)entries / STACK_STORE_WINDOW * STACK_STORE_WINDOW;
	if (left == 0)
		return -ENOMEM;
	store->stacks = memory;
	store->blocks = (void *)(store->stacks + left);
	store->stack_count = left;
	store->block_count = left * BLOCKS_PER_ENTRY;
	for (uint32_t want = LEVEL0_ENTRIES; left > 0; want *= 4) {
		struct stack_store_level *level = &store->level[store->level_count++];
		/* A level smaller than the one before it is not worth its probes. */
		bool last = left / 2 < want || store->level_count == STACK_STORE_MAX_LEVELS;
		uint32_t count = last ? left : want;

		*level = (struct stack_store_level){first, count / STACK_STORE_WINDOW};
		first += count;
		left -= count;
	}
	/* relaxed: nobody else knows the store yet. */
	atomic_store_explicit(&store->levels, 1, memory_order_relaxed);
	atomic_store_explicit(&store->bump, 1, memory_order_relaxed);
	return 0;
}

/* Blocks: those of the free list, then those that were never used, lowest first. */

static uint32_t blocks_for(uint32_t bytes)
{
	return (bytes + WIRE_BLOCK_BYTES - 1) / WIRE_BLOCK_BYTES;
}

static uint32_t block_after(const struct stack_store *store, uint32_t block)
{
	/* relaxed: the chain belongs to whoever follows it; in the free list, see pop_blocks. */
	uint32_t next = atomic_load_explicit(&store->blocks[block].next, memory_order_relaxed);

	/* Memory that the program overwrote must not lead outside. */
	return next < store->block_count ? next : 0;
}

static void set_block_after(struct stack_store *store, uint32_t block, uint32_t next)
{
	/* relaxed: published with the chain's entry, or with the list's head. */
	atomic_store_explicit(&store->blocks[block].next, next, memory_order_relaxed);
}

/* Up to `wanted` blocks of the list as a chain whose end is still open. */
static uint32_t pop_blocks(
	struct stack_store *store, uint32_t wanted, uint32_t *first, uint32_t *last)
{
	/* [STACK-2] acquire: the list as it was pushed, and all use of its blocks before; pairs
	 * with the release in push_blocks, through other pops as well since those are
	 * read-modify-writes. */
	uint64_t head = atomic_load_explicit(&store->free_blocks, memory_order_acquire);

	for (unsigned turn = 0; turn < TURNS && low_half(head) != 0; turn++) {
		uint32_t got = 1, rest;
		uint64_t popped = ((head >> 32) + 1) << 32;

		*first = *last = low_half(head);
		while ((rest = block_after(store, *last)) != 0 && got < wanted) {
			*last = rest;
			got++;
		}
		/* [STACK-2] acquire: as above. */
		if (atomic_compare_exchange_weak_explicit(&store->free_blocks, &head, popped | rest,
			    memory_order_acquire, memory_order_acquire))
			return got;
	}
	return 0;
}

static uint32_t bump_blocks(
	struct stack_store *store, uint32_t wanted, uint32_t *first, uint32_t *last)
{
	/* relaxed: nobody has used these blocks. */
	uint32_t bump = atomic_load_explicit(&store->bump, memory_order_relaxed);

	for (unsigned turn = 0; turn < TURNS && bump < store->block_count; turn++) {
		uint32_t left = store->block_count - bump;
		uint32_t got = left < wanted ? left : wanted;

		if (!atomic_compare_exchange_weak_explicit(&store->bump, &bump, bump + got,
			    memory_order_relaxed, memory_order_relaxed))
			continue;
		*first = bump;
		*last = bump + got - 1;
		for (uint32_t block = *first; block < *last; block++)
			set_block_after(store, block, block + 1);
		return got;
	}
	return 0;
}

/* A chain that finds no turn stays in use for good. */
static void push_blocks(struct stack_store *store, uint32_t first, uint32_t last)
{
	/* relaxed: only the index is used, and the CAS decides. */
	uint64_t head = atomic_load_explicit(&store->free_blocks, memory_order_relaxed);

	for (unsigned turn = 0; turn < TURNS; turn++) {
		set_block_after(store, last, low_half(head));
		/* [STACK-2] release: links, and all use of the blocks before; pairs with acquire in
		 * pop_blocks. */
		if (atomic_compare_exchange_weak_explicit(&store->free_blocks, &head,
			    (head & ~(uint64_t)UINT32_MAX) | first, memory_order_release,
			    memory_order_relaxed))
			return;
	}
}

static void count_blocks(struct stack_store *store, uint32_t change)
{
	/* relaxed: a statistic. */
	atomic_fetch_add_explicit(&store->blocks_in_use, change, memory_order_relaxed);
}

static void free_chain(struct stack_store *store, uint32_t first, uint32_t count)
{
	uint32_t last = first;

	/* Left alone, and counted, if the program overwrote its memory. */
	if (count == 0 || count > CHAIN_MAX || first == 0 || first >= store->block_count)
		return;
	for (uint32_t i = 1; i < count; i++)
		last = block_after(store, last);
	if (last == 0)
		return;
	push_blocks(store, first, last);
	count_blocks(store, -count);
}

/* The first of a closed chain of `count` blocks, 0: not so many are left. */
static uint32_t make_chain(struct stack_store *store, uint32_t count)
{
	uint32_t chain = 0, have = 0, first, last;

	count_blocks(store, count);
	while (have < count) {
		uint32_t got = pop_blocks(store, count - have, &first, &last);

		if (got == 0)
			got = bump_blocks(store, count - have, &first, &last);
		if (got == 0)
			break;
		set_block_after(store, last, chain);
		chain = first;
		have += got;
	}
	if (have == count)
		return chain;
	count_blocks(store, have - count);
	free_chain(store, chain, have);
	return 0;
}

/* Entries. */

static uint64_t mix(uint64_t lane, uint64_t word)
{
	lane = (lane ^ word) * UINT64_C(0x9fb21c651e98df25);
	return lane << 29 | lane >> 35;
}

static uint64_t hash_of(const struct stack_view *view)
{
	uint64_t shape = (uint64_t)view->module_epoch << 32 | (uint64_t)view->frame_count << 16 |
			 (uint64_t)view->stop << 8 | view->guessed;
	uint64_t even = mix(UINT64_C(0x243f6a8885a308d3), shape);
	uint64_t odd = UINT64_C(0x13198a2e03707344);
	uint32_t i = 0;

	for (; i + 1 < view->frame_count; i += 2) {
		even = mix(even, view->frames[i]);
		odd = mix(odd, view->frames[i + 1]);
	}
	if (i < view->frame_count)
		even = mix(even, view->frames[i]);
	even = mix(even ^ even >> 32, odd);
	return even ^ even >> 29;
}

/* The `index`th place to look: all levels, then all again with other windows. */
static struct wire_stack *window(const struct stack_store *store, uint32_t index, uint64_t hash)
{
	uint32_t count = store->level_count;
	const struct stack_store_level *level =
		&store->level[index < count ? index : index % count];
	/* An own multiplier each: what shares a window here must not share the next. */
	uint64_t spread = hash * (UINT64_C(0x9e3779b97f4a7c15) * (2 * index + 1)) >> 32;
	uint64_t chosen = spread * level->windows >> 32;

	return &store->stacks[level->first + chosen * STACK_STORE_WINDOW];
}

/* One reference more, if there is one. */
static bool take(struct wire_stack *stack)
{
	/* relaxed: the CAS decides. */
	uint64_t refs = atomic_load_explicit(&stack->refs, memory_order_relaxed);

	for (unsigned turn = 0; turn < TURNS; turn++) {
		if (low_half(refs) < FIRST || low_half(refs) >= REFS_MAX)
			return false;
		/* [STACK-1] acquire: the entry as it was published; pairs with release in make. */
		if (atomic_compare_exchange_weak_explicit(&stack->refs, &refs, refs + 1,
			    memory_order_acquire, memory_order_relaxed))
			return true;
	}
	return false;
}

/* BUSY → FREE. */
static void set_free(struct stack_store *store, struct wire_stack *stack)
{
	/* relaxed: BUSY is ours alone. */
	uint64_t refs = atomic_load_explicit(&stack->refs, memory_order_relaxed);

	/* relaxed: a statistic. */
	atomic_fetch_sub_explicit(&store->stacks_in_use, 1, memory_order_relaxed);
	/* [STACK-1] release: all use of the entry before; pairs with acquire in claim_entry. */
	atomic_store_explicit(&stack->refs, ((refs >> 32) + 1) << 32 | FREE, memory_order_release);
}

static void drop(struct stack_store *store, struct wire_stack *stack)
{
	/* [STACK-1] acq_rel: our reads come before whatever the last one does with the entry; if we
	 * are the last, everybody's do. Pairs with itself. */
	uint64_t refs = atomic_fetch_sub_explicit(&stack->refs, 1, memory_order_acq_rel);

	if (low_half(refs) != FIRST)
		return;
	/* Now BUSY, and ours. */
	free_chain(store, stack->block, blocks_for(stack->bytes));
	set_free(store, stack);
}

static bool equals(const struct stack_store *store, const struct wire_stack *stack,
	const struct stack_view *view)
{
	struct stack_code code = {store->blocks, store->block_count, stack->block};

	return stack->frame_count == view->frame_count && stack->stop == view->stop &&
	       stack->guessed == view->guessed && stack->module_epoch == view->module_epoch &&
	       stack_code_equals(&code, view->frames, view->frame_count);
}

static struct wire_stack *find(
	struct stack_store *store, uint64_t hash, const struct stack_view *view)
{
	/* relaxed: a stack that is missed is made twice. */
	uint32_t levels = atomic_load_explicit(&store->levels, memory_order_relaxed);

	for (uint32_t index = 0; index < levels; index++) {
		struct wire_stack *stack = window(store, index, hash);

		for (unsigned i = 0; i < STACK_STORE_WINDOW; i++, stack++) {
			/* relaxed: a hint, contents are compared. */
			if (atomic_load_explicit(&stack->hash, memory_order_relaxed) != hash ||
				!take(stack))
				continue;
			if (equals(store, stack, view))
				return stack;
			/* It has become another one meanwhile. */
			drop(store, stack);
		}
	}
	return NULL;
}

/* FREE → BUSY. */
static bool claim_entry(struct wire_stack *stack)
{
	/* relaxed: the CAS decides. */
	uint64_t refs = atomic_load_explicit(&stack->refs, memory_order_relaxed);

	if (low_half(refs) != FREE)
		return false;
	/* [STACK-1] acquire: the last owner's use comes before ours; pairs with release in
	 * set_free. */
	return atomic_compare_exchange_strong_explicit(
		&stack->refs, &refs, refs + BUSY, memory_order_acquire, memory_order_relaxed);
}

static void raise_levels(struct stack_store *store, uint32_t wanted)
{
	/* relaxed: see find. */
	uint32_t levels = atomic_load_explicit(&store->levels, memory_order_relaxed);

	while (levels < wanted && !atomic_compare_exchange_weak_explicit(&store->levels, &levels,
					  wanted, memory_order_relaxed, memory_order_relaxed))
		;
}

static struct wire_stack *claim(struct stack_store *store, uint64_t hash)
{
	for (uint32_t index = 0; index < CHOICES * store->level_count; index++) {
		struct wire_stack *stack = window(store, index, hash);

		for (unsigned i = 0; i < STACK_STORE_WINDOW; i++, stack++) {
			if (!claim_entry(stack))
				continue;
			raise_levels(store, index + 1);
			/* relaxed: a statistic. */
			atomic_fetch_add_explicit(&store->stacks_in_use, 1, memory_order_relaxed);
			return stack;
		}
	}
	return NULL;
}

/* BUSY → one reference; false: no room for its frames. */
static bool fill(struct stack_store *store, struct wire_stack *stack, uint64_t hash,
	const struct stack_view *view, uint8_t *scratch)
{
	uint32_t bytes = stack_code_encode(view->frames, view->frame_count, scratch);
	uint32_t block = make_chain(store, blocks_for(bytes));
	struct stack_code code = {store->blocks, store->block_count, block};

	if (block == 0 && bytes > 0)
		return false;
	stack_code_store(&code, scratch, bytes);
	stack->module_epoch = view->module_epoch;
	stack->block = block;
	stack->frame_count = view->frame_count;
	stack->stop = view->stop;
	stack->guessed = view->guessed;
	stack->bytes = bytes;
	/* relaxed: published below; seen earlier, it leads to an entry that is BUSY. */
	atomic_store_explicit(&stack->hash, hash, memory_order_relaxed);
	/* relaxed: BUSY is ours alone. */
	uint64_t refs = atomic_load_explicit(&stack->refs, memory_order_relaxed);
	/* [STACK-1] release: all of the entry; pairs with acquire in take. */
	atomic_store_explicit(&stack->refs, refs - BUSY + FIRST, memory_order_release);
	return true;
}

uint32_t stack_store_intern(struct stack_store *store, const struct stack_view *view,
	uint8_t scratch[STACK_STORE_SCRATCH])
{
	if (view->frame_count > WIRE_MAX_FRAMES)
		return 0;
	uint64_t hash = hash_of(view);
	struct wire_stack *stack = find(store, hash, view);

	if (!stack) {
		stack = claim(store, hash);
		if (!stack)
			return 0;
		if (!fill(store, stack, hash, view, scratch)) {
			set_free(store, stack);
			return 0;
		}
	}
	return (uint32_t)(stack - store->stacks) + 1;
}

static bool is_reference(const struct stack_store *store, uint32_t reference)
{
	return reference != 0 && reference <= store->stack_count;
}

void stack_store_release(struct stack_store *store, uint32_t reference)
{
	if (is_reference(store, reference))
		drop(store, &store->stacks[reference - 1]);
}

bool stack_store_acquire(struct stack_store *store, uint32_t reference)
{
	return is_reference(store, reference) && take(&store->stacks[reference - 1]);
}

int stack_store_read(const struct stack_store *store, uint32_t reference, uint64_t *frames,
	struct stack_view *out)
{
	if (!is_reference(store, reference))
		return -EINVAL;
	const struct wire_stack *stack = &store->stacks[reference - 1];
	struct stack_code code = {store->blocks, store->block_count, stack->block};

	if (stack->frame_count > WIRE_MAX_FRAMES)
		return -EINVAL;
	stack_code_read(&code, frames, stack->frame_count);
	*out = (struct stack_view){
		.frames = frames,
		.frame_count = stack->frame_count,
		.stop = stack->stop,
		.guessed = stack->guessed,
		.module_epoch = stack->module_epoch,
	};
	return 0;
}

uint32_t stack_store_stacks_in_use(const struct stack_store *store)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&store->stacks_in_use, memory_order_relaxed);
}

uint32_t stack_store_blocks_in_use(const struct stack_store *store)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&store->blocks_in_use, memory_order_relaxed);
}

bool stack_store_crowded(const struct stack_store *store)
{
	return stack_store_stacks_in_use(store) >= store->stack_count / 4 * 3 ||
	       stack_store_blocks_in_use(store) >= store->block_count / 4 * 3;
}
