/* The map of live samples: what goes in comes out, once, whatever windows and levels it lands in.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "heap_map.h"
#include "support/tap_main.h"

#define LEVEL0 (1u << WIRE_MAP_LEVEL0_BITS)

static struct heap_map map;
static void *memory;

static void set_up(void)
{
	size_t size = (LEVEL0 + 2 * LEVEL0) * sizeof(struct wire_slot);

	memory = calloc(1, size);
	ck_assert_int_eq(heap_map_init(&map, memory, size), 0);
}

static void tear_down(void)
{
	free(memory);
}

static struct wire_slot *insert(uintptr_t address, uint64_t *id)
{
	struct heap_map_entry entry = {
		.address = address,
		.size_bytes = address + 1,
		.interval_bytes = 7,
		.birth_ns = 9,
		.tid = 4194303,
		.stack_ref = 5,
	};
	struct wire_slot *slot = heap_map_insert(&map, &entry);

	if (id)
		*id = entry.id;
	return slot;
}

static void expect_first(const struct heap_map_entry *entry, void *data)
{
	++*(int *)data;
	ck_assert_uint_eq(entry->size_bytes, entry->address + 1);
	ck_assert_uint_eq(entry->interval_bytes, 7);
	ck_assert_uint_eq(entry->birth_ns, 9);
	ck_assert_uint_eq(entry->tid, 4194303);
	ck_assert_uint_eq(entry->stack_ref, 5);
}

static int live_entries(void)
{
	int n = 0;

	heap_map_each(&map, expect_first, &n);
	return n;
}

START_TEST(an_inserted_block_is_found_once)
{
	uint64_t id;
	struct wire_slot *slot = insert(0x7fff12345678, &id);

	ck_assert_ptr_nonnull(slot);
	ck_assert(heap_map_holds(slot, 0x7fff12345678, id));
	ck_assert_int_eq(live_entries(), 1);
	ck_assert_ptr_eq(heap_map_take(&map, 0x7fff12345678), slot);
	ck_assert_ptr_null(heap_map_take(&map, 0x7fff12345678));
	heap_map_bury(&map, slot);
	ck_assert_int_eq(live_entries(), 0);
	ck_assert(!heap_map_holds(slot, 0x7fff12345678, id));
}
END_TEST

START_TEST(ids_are_never_reused)
{
	uint64_t last = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t id;
		struct wire_slot *slot = insert(0x1000, &id);

		ck_assert_uint_gt(id, last);
		last = id;
		heap_map_bury(&map, heap_map_take(&map, 0x1000));
		ck_assert(!heap_map_holds(slot, 0x1000, id));
	}
}
END_TEST

START_TEST(a_slot_reused_for_the_same_address_does_not_hold_the_old_id)
{
	uint64_t first, second;
	struct wire_slot *slot = insert(0x1000, &first);

	heap_map_bury(&map, heap_map_take(&map, 0x1000));
	ck_assert_ptr_eq(insert(0x1000, &second), slot);
	ck_assert(!heap_map_holds(slot, 0x1000, first));
	ck_assert(heap_map_holds(slot, 0x1000, second));
}
END_TEST

START_TEST(addresses_need_not_be_aligned)
{
	ck_assert_ptr_nonnull(insert(0x1001, NULL));
	ck_assert_ptr_nonnull(insert(0x1002, NULL));
	ck_assert_ptr_null(heap_map_take(&map, 0x1000));
	ck_assert_ptr_nonnull(heap_map_take(&map, 0x1001));
	ck_assert_ptr_nonnull(heap_map_take(&map, 0x1002));
}
END_TEST

START_TEST(a_suspended_block_is_invisible_and_comes_back)
{
	uint64_t id;
	struct wire_slot *slot = insert(0x1000, &id);

	ck_assert_ptr_eq(heap_map_suspend(&map, 0x1000), slot);
	ck_assert_ptr_null(heap_map_take(&map, 0x1000));
	ck_assert_ptr_null(heap_map_suspend(&map, 0x1000));
	heap_map_resume(&map, slot);
	ck_assert(heap_map_holds(slot, 0x1000, id));
	ck_assert_ptr_eq(heap_map_take(&map, 0x1000), slot);
}
END_TEST

START_TEST(an_address_given_away_during_realloc_does_not_lose_its_new_owner)
{
	uint64_t id;
	struct wire_slot *old = insert(0x1000, NULL);

	heap_map_suspend(&map, 0x1000);
	struct wire_slot *new = insert(0x1000, &id); /* another thread was given the address */
	ck_assert_ptr_ne(old, new);
	heap_map_take_suspended(&map, old);
	heap_map_bury(&map, old);
	ck_assert(heap_map_holds(new, 0x1000, id));
	ck_assert_ptr_eq(heap_map_take(&map, 0x1000), new);
}
END_TEST

START_TEST(full_windows_spill_into_the_next_level_and_nothing_is_lost)
{
	enum { BLOCKS = 18000 }; /* more than level 0 has slots */

	for (uintptr_t i = 1; i <= BLOCKS; i++)
		ck_assert_ptr_nonnull(insert(i * 64, NULL));
	ck_assert_int_eq(live_entries(), BLOCKS);
	ck_assert_uint_eq(heap_map_levels_in_use(&map), 2);
	ck_assert_uint_eq(heap_map_slots_in_use(&map), 3 * LEVEL0);
	ck_assert_uint_gt(atomic_load(&map.collisions), 0);
	for (uintptr_t i = BLOCKS; i >= 1; i--) {
		struct wire_slot *slot = heap_map_take(&map, i * 64);

		ck_assert_ptr_nonnull(slot);
		heap_map_bury(&map, slot);
	}
	ck_assert_int_eq(live_entries(), 0);
	ck_assert_uint_eq(atomic_load(&map.used_slots), 0);
}
END_TEST

START_TEST(a_full_map_refuses_and_recovers)
{
	uintptr_t refused = 0;
	uintptr_t i;

	for (i = 1; !refused; i++)
		if (!insert(i * 64, NULL))
			refused = i * 64;
	ck_assert(heap_map_crowded(&map));
	ck_assert_uint_gt(i, 3 * LEVEL0 * 3 / 4);
	ck_assert_ptr_null(heap_map_take(&map, refused));
	for (uintptr_t k = 1; k < i; k++) {
		struct wire_slot *slot = heap_map_take(&map, k * 64);

		if (slot)
			heap_map_bury(&map, slot);
	}
	ck_assert(!heap_map_crowded(&map));
	ck_assert_ptr_nonnull(insert(refused, NULL));
}
END_TEST

START_TEST(slots_are_reused_for_ever)
{
	/* Ten times the capacity comes and goes with 2,000 live: tombstones must not use the map
	 * up. */
	enum { LIVE = 2000 };

	for (uintptr_t i = 0; i < 30u * LEVEL0; i++) {
		if (i >= LIVE)
			heap_map_bury(&map, heap_map_take(&map, (i - LIVE + 1) * 48));
		ck_assert_ptr_nonnull(insert((i + 1) * 48, NULL));
	}
	ck_assert_int_eq(live_entries(), LIVE);
	ck_assert_uint_eq(heap_map_levels_in_use(&map), 1);
}
END_TEST

START_TEST(memory_for_less_than_a_level_is_refused)
{
	struct heap_map small;

	ck_assert_int_lt(heap_map_init(&small, memory, 4096), 0);
}
END_TEST

START_TEST(inserts_are_refused_long_after_the_map_says_that_it_is_crowded)
{
	/* Scattered addresses, the hardest: by then T has been doubled often. */
	uint64_t rng = 88172645463325252u;
	unsigned inserted = 0, crowded_at = 0;

	for (;; inserted++) {
		rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
		if (!insert(0x7f0000000000 + (rng >> 28 << 4), NULL))
			break;
		if (!crowded_at && heap_map_crowded(&map))
			crowded_at = inserted;
	}
	ck_assert_uint_gt(crowded_at, 0);
	ck_assert_uint_lt(crowded_at, map.capacity * 51 / 100);
	ck_assert_uint_gt(inserted, map.capacity * 58 / 100);
}
END_TEST

START_TEST(a_copy_is_taken_of_what_lives_and_of_nothing_else)
{
	struct heap_map_entry entry;
	uint64_t id;
	struct wire_slot *slot = insert(0x5000, &id);

	ck_assert(heap_map_read(&map, slot, &entry));
	ck_assert_uint_eq(entry.id, id);
	ck_assert_uint_eq(entry.address, 0x5000);
	ck_assert_uint_eq(heap_map_stack_ref(slot), 5);
	ck_assert_ptr_eq(heap_map_suspend(&map, 0x5000), slot);
	ck_assert(heap_map_read(&map, slot, &entry)); /* the realloc may fail */
	ck_assert_uint_eq(entry.address, 0x5000);
	heap_map_resume(&map, slot);
	heap_map_take(&map, 0x5000);
	ck_assert(!heap_map_read(&map, slot, &entry)); /* nobody was told, nobody will be */
	ck_assert(heap_map_has_id(slot, id));
	bool announced;
	ck_assert_uint_eq(heap_map_retire(&map, slot, &announced), id);
	ck_assert(!announced);
	heap_map_bury(&map, slot);
	ck_assert(!heap_map_read(&map, slot, &entry));
	ck_assert(!heap_map_has_id(slot, id));
}
END_TEST

START_TEST(marks_are_left_once_and_say_who_tells_of_the_death)
{
	uint64_t id;
	struct wire_slot *slot = insert(0x5000, &id);
	struct heap_map_entry entry;
	bool announced;

	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id), HEAP_MAP_MARKED);
	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id), HEAP_MAP_KNOWN);
	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id + 1), HEAP_MAP_GONE);
	heap_map_take(&map, 0x5000);
	ck_assert(heap_map_read(&map, slot, &entry)); /* the digest counts it until it is told */
	heap_map_retire(&map, slot, &announced);
	ck_assert(announced);
	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id), HEAP_MAP_GONE);
	heap_map_bury(&map, slot);
}
END_TEST

START_TEST(a_forked_child_frees_what_its_threads_do_not_hold)
{
	uint64_t id[4];
	bool announced;

	for (uintptr_t i = 0; i < 4; i++)
		insert(0x5000 + i * 64, &id[i]);
	struct wire_slot *told = heap_map_take(&map, 0x5000);
	heap_map_bury(&map, told);
	struct wire_slot *reallocated = heap_map_suspend(&map, 0x5040);
	struct wire_slot *freed = heap_map_take(&map, 0x5080);
	heap_map_settle(&map, 2);
	/* The parent's realloc may have failed or not: the child has the old block in any case. */
	ck_assert(heap_map_holds(reallocated, 0x5040, id[1]));
	ck_assert_ptr_eq(heap_map_take(&map, 0x5040), reallocated);
	heap_map_retire(&map, reallocated, &announced);
	heap_map_bury(&map, reallocated);
	/* The block of the parent's free is out of everybody's reach, its slot is not. */
	ck_assert(!heap_map_has_id(freed, id[2]));
	ck_assert_uint_eq(atomic_load(&map.used_slots), 1);
	ck_assert_int_eq(live_entries(), 1);
}
END_TEST

START_TEST(marks_of_the_parent_are_void_in_the_child)
{
	uint64_t id;
	struct wire_slot *slot = insert(0x5000, &id);
	bool announced;

	heap_map_mark_announced(&map, slot, id);
	heap_map_settle(&map, 2);
	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id), HEAP_MAP_MARKED);
	heap_map_settle(&map, 3);
	heap_map_take(&map, 0x5000);
	ck_assert_uint_eq(heap_map_retire(&map, slot, &announced), id);
	ck_assert(!announced);
}
END_TEST

START_TEST(a_hook_that_goes_on_in_a_settled_child_leaves_others_slots_alone)
{
	uint64_t id;

	insert(0x5000, NULL);
	struct wire_slot *slot = heap_map_take(&map, 0x5000);
	heap_map_settle(&map, 2);
	ck_assert_ptr_eq(insert(0x5000, &id), slot);
	/* A signal handler has forked and returned: the interrupted free goes on. */
	uint32_t used = (uint32_t)atomic_load(&map.used_slots);
	heap_map_bury(&map, slot);
	ck_assert(heap_map_holds(slot, 0x5000, id));
	ck_assert_uint_eq(atomic_load(&map.used_slots), used);
}
END_TEST

START_TEST(an_unsettled_child_forgets_in_one_step)
{
	struct heap_map_forgotten forgotten;
	uint64_t id;
	struct wire_slot *slot = insert(0x5000, &id);
	struct heap_map_entry entry;

	ck_assert(heap_map_forget(&map, 0x5000, &forgotten));
	ck_assert_uint_eq(forgotten.stack_ref, 5);
	ck_assert_uint_eq(forgotten.id, id);
	ck_assert(!forgotten.announced);
	ck_assert(!heap_map_forget(&map, 0x5000, &forgotten));
	/* The tombstone has no id that anybody could mark, or take for the next tenant's. */
	ck_assert(!heap_map_has_id(slot, id));
	ck_assert_int_eq(heap_map_mark_announced(&map, slot, id), HEAP_MAP_GONE);
	ck_assert(!heap_map_read(&map, slot, &entry));
	/* Settled meanwhile, and told: whoever forgets has to tell of the death. */
	slot = insert(0x5000, &id);
	heap_map_mark_announced(&map, slot, id);
	ck_assert(heap_map_forget(&map, 0x5000, &forgotten));
	ck_assert(forgotten.announced);
	ck_assert_int_eq(live_entries(), 0);
	ck_assert_uint_eq(atomic_load(&map.used_slots), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("heap_map");
	TCase *one = tcase_create("one thread");

	tcase_add_checked_fixture(one, set_up, tear_down);
	tcase_add_test(one, an_inserted_block_is_found_once);
	tcase_add_test(one, ids_are_never_reused);
	tcase_add_test(one, a_slot_reused_for_the_same_address_does_not_hold_the_old_id);
	tcase_add_test(one, addresses_need_not_be_aligned);
	tcase_add_test(one, a_suspended_block_is_invisible_and_comes_back);
	tcase_add_test(one, an_address_given_away_during_realloc_does_not_lose_its_new_owner);
	tcase_add_test(one, full_windows_spill_into_the_next_level_and_nothing_is_lost);
	tcase_add_test(one, a_full_map_refuses_and_recovers);
	tcase_add_test(one, slots_are_reused_for_ever);
	tcase_add_test(one, memory_for_less_than_a_level_is_refused);
	tcase_add_test(one, inserts_are_refused_long_after_the_map_says_that_it_is_crowded);
	tcase_add_test(one, a_copy_is_taken_of_what_lives_and_of_nothing_else);
	tcase_add_test(one, marks_are_left_once_and_say_who_tells_of_the_death);
	tcase_add_test(one, a_forked_child_frees_what_its_threads_do_not_hold);
	tcase_add_test(one, marks_of_the_parent_are_void_in_the_child);
	tcase_add_test(one, a_hook_that_goes_on_in_a_settled_child_leaves_others_slots_alone);
	tcase_add_test(one, an_unsettled_child_forgets_in_one_step);
	suite_add_tcase(suite, one);
	return suite;
}

TAP_MAIN(make_suite)
