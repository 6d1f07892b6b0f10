/*
 * Invariants: the cursor only rises within an epoch; every slot below it was told, or did not live
 * when somebody looked at it after the epoch had been asked for; `lives` is the number of claims
 * that were made of living slots, each of which ends in a LIVE record unless its thread is killed.
 */
#include "resync.h"
#include "announce.h"
#include "heap_map.h"
#include "record_encode.h"
#include "ring_producer.h"
#include "sampler.h"
#include "scratch_pool.h"
#include "stack_store.h"
#include "thread_state.h"

#define COUNT_BITS 22u
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define ENDED	   COUNT_MASK /* cursor: END was written, or is being written */

_Static_assert((((UINT64_C(1) << WIRE_MAP_MAX_LEVELS) - 1) << WIRE_MAP_LEVEL0_BITS) < ENDED,
	"the cursor can name every slot");
_Static_assert(WIRE_EPOCH_MAX == UINT64_MAX >> 2 * COUNT_BITS, "the word holds an epoch");

struct walk {
	uint32_t epoch, cursor, lives;
};

struct turn {
	struct resync *resync;
	const struct resync_parts *parts;
	struct scratch *scratch;
	struct walk walk;
	uint32_t seen; /* slots looked at */
};

static uint64_t pack(struct walk walk)
{
	return ((uint64_t)walk.epoch << COUNT_BITS | walk.cursor) << COUNT_BITS | walk.lives;
}

static struct walk unpack(uint64_t word)
{
	return (struct walk){
		.epoch = (uint32_t)(word >> 2 * COUNT_BITS),
		.cursor = (uint32_t)(word >> COUNT_BITS & COUNT_MASK),
		.lives = (uint32_t)(word & COUNT_MASK),
	};
}

static struct walk current(const struct resync *resync)
{
	/* [SYNC-2] acquire: asked() that follows sees this epoch or a later one; pairs with
	 * advance. */
	return unpack(atomic_load_explicit(&resync->walk, memory_order_acquire));
}

static uint32_t asked(const struct segment *segment)
{
	/* [SYNC-1] acquire: whatever the daemon had drained when it asked is seen in the map; pairs
	 * with release in segment_map_request_resync. */
	uint32_t epoch =
		atomic_load_explicit(&segment->header->control.resync, memory_order_acquire);

	return epoch <= WIRE_EPOCH_MAX ? epoch : 0;
}

bool resync_is_due(const struct resync *resync, const struct segment *segment)
{
	struct walk walk = current(resync);
	uint32_t epoch = asked(segment);

	return epoch != 0 && (walk.epoch != epoch || walk.cursor != ENDED);
}

void resync_reset(struct resync *resync)
{
	/* relaxed: published with the fork word. */
	atomic_store_explicit(&resync->walk, 0, memory_order_relaxed);
}

/* False: somebody else has moved on; the turn has caught up with where the walk is now. */
static bool advance(struct turn *turn, struct walk to)
{
	uint64_t from = pack(turn->walk);

	/* [SYNC-2] acq_rel: our asked() comes before an epoch that we begin; pairs with current().
	 */
	if (atomic_compare_exchange_strong_explicit(&turn->resync->walk, &from, pack(to),
		    memory_order_acq_rel, memory_order_acquire)) {
		turn->walk = to;
		return true;
	}
	turn->walk = unpack(from);
	return false;
}

static bool lease_ring(const struct turn *turn, uint32_t bytes, struct ring_lease *lease)
{
	/* Half of the ring stays free for what happens meanwhile: a resync that made births and
	 * deaths lose their room would be the reason for the next one. */
	struct segment *segment = turn->parts->segment;
	bool leased = ring_producer_lease(segment, thread_state_tid(),
			      bytes + segment->ring_size / 2, lease) == RING_PRODUCER_OK;

	if (!leased) {
		/* Nobody may be reading: looking in often is then for nothing. */
		sampler_set_tick(SAMPLER_TICK);
		segment_count(segment, &segment->header->counters.resync_refused, 1);
	}
	return leased;
}

/* The stack of a slot that was copied: once we hold a count and the slot still has its id, the
 * count was taken while the entry held one, so it is that stack. */
static bool read_stack(const struct turn *turn, const struct wire_slot *slot,
	const struct heap_map_entry *entry, struct stack_view *view)
{
	struct stack_store *stacks = turn->parts->stacks;

	if (!stack_store_acquire(stacks, entry->stack_ref))
		return false;
	bool read =
		heap_map_has_id(slot, entry->id) &&
		stack_store_read(stacks, entry->stack_ref, turn->scratch->birth.frames, view) == 0;
	stack_store_release(stacks, entry->stack_ref);
	return read;
}

/* Tells of the living slot at `number`. False: no room for it now. */
static bool tell(struct turn *turn, uint32_t number, const struct heap_map_entry *entry)
{
	struct segment *segment = turn->parts->segment;
	struct wire_slot *slot = heap_map_slot(turn->parts->map, number);
	struct wire_birth *live = &turn->scratch->birth;
	struct walk to = turn->walk;
	struct stack_view view;
	struct ring_lease lease;

	bool kept = read_stack(turn, slot, entry, &view);
	record_encode_birth(live, entry, kept ? &view : NULL, turn->walk.epoch);
	if (!lease_ring(turn, announce_room(live), &lease))
		return false;
	to.cursor = number + 1;
	to.lives++;
	if (advance(turn, to)) {
		announce_in_lease(segment, turn->parts->map, slot, live, &lease);
		segment_count(segment, &segment->header->counters.resync_lives, 1);
	}
	ring_producer_release(segment, &lease);
	return true;
}

static void end(struct turn *turn)
{
	struct wire_end end = {
		.record = {.size = sizeof end, .type = WIRE_END},
		.epoch = turn->walk.epoch,
		.lives = turn->walk.lives,
	};
	struct walk to = turn->walk;
	struct ring_lease lease;

	if (!lease_ring(turn, sizeof end, &lease))
		return;
	to.cursor = ENDED;
	if (advance(turn, to)) {
		ring_producer_write(turn->parts->segment, &lease, &end, sizeof end);
		sampler_set_tick(SAMPLER_TICK);
	}
	ring_producer_release(turn->parts->segment, &lease);
}

/* From the cursor to the first living slot, or as far as this turn may look. */
static bool find_living(
	struct turn *turn, uint32_t slots, uint32_t *number, struct heap_map_entry *entry)
{
	const struct heap_map *map = turn->parts->map;

	for (*number = turn->walk.cursor; *number < slots && turn->seen < WIRE_SLICE_SLOTS;
		++*number) {
		turn->seen++;
		if (heap_map_read(map, heap_map_slot(turn->parts->map, *number), entry))
			return true;
	}
	return false;
}

static void take_turn(struct turn *turn)
{
	uint32_t slots = heap_map_slots_in_use(turn->parts->map);
	uint32_t epoch = turn->walk.epoch, number;
	struct heap_map_entry entry;

	while (turn->seen < WIRE_SLICE_SLOTS && turn->walk.epoch == epoch) {
		if (turn->walk.cursor >= slots) {
			if (turn->walk.cursor != ENDED)
				end(turn);
			return;
		}
		if (find_living(turn, slots, &number, &entry)) {
			if (!tell(turn, number, &entry))
				return;
		} else {
			struct walk to = turn->walk;

			to.cursor = number;
			advance(turn, to);
		}
	}
}

void resync_turn(struct resync *resync, const struct resync_parts *parts)
{
	struct turn turn = {.resync = resync, .parts = parts, .walk = current(resync)};
	uint32_t epoch = asked(parts->segment);
	struct wire_counters *counters = &parts->segment->header->counters;
	uint64_t word;

	if (epoch == 0)
		return;
	if (turn.walk.epoch != epoch && !advance(&turn, (struct walk){.epoch = epoch}))
		return;
	turn.scratch = scratch_pool_lease(thread_state_tid(), &word);
	if (!turn.scratch)
		return;
	sampler_set_tick(SAMPLER_TICK_OPEN);
	take_turn(&turn);
	/* Somebody else may have ended it before we said that it is open. */
	if (turn.walk.cursor == ENDED)
		sampler_set_tick(SAMPLER_TICK);
	scratch_pool_release(turn.scratch, word);
	segment_count(parts->segment, &counters->resync_slices, 1);
	segment_count(parts->segment, &counters->resync_slots, turn.seen);
}
