#include "base/hash_index.h"
#include <string.h>
#include "support/tap_main.h"

/* Few distinct hashes, so that long runs of equal and neighbouring homes are the rule. */
static uint32_t crowded_hash(uint32_t key)
{
	return (key * 2654435761u) % 61;
}

static bool holds(const struct hash_index *index, uint32_t hash, uint32_t wanted)
{
	uint32_t value, found = 0;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(index, &at, &value))
		found += value == wanted;
	ck_assert_uint_le(found, 1);
	return found == 1;
}

static void erase(struct hash_index *index, uint32_t hash, uint32_t wanted)
{
	uint32_t value;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(index, &at, &value)) {
		if (value == wanted) {
			hash_index_erase(index, &at);
			return;
		}
	}
	ck_abort_msg("value %u is not there", wanted);
}

START_TEST(an_empty_index_finds_nothing)
{
	struct hash_index index = HASH_INDEX_INIT;
	ck_assert(!holds(&index, 0, 0));
	hash_index_clear(&index);
	ck_assert_uint_eq(hash_index_bytes(&index), 0);
	hash_index_deinit(&index);
}
END_TEST

START_TEST(colliding_values_survive_inserts_and_removals_in_any_order)
{
	enum { KEYS = 2000 };
	struct hash_index index = HASH_INDEX_INIT;
	bool present[KEYS] = {false};
	uint32_t count = 0, random = 12345;
	for (int step = 0; step < 20000; step++) {
		random = random * 1664525u + 1013904223u;
		uint32_t key = (random >> 8) % KEYS;
		if (present[key])
			erase(&index, crowded_hash(key), key);
		else
			hash_index_insert(&index, crowded_hash(key), key);
		count += present[key] ? -1u : 1u;
		present[key] = !present[key];
		ck_assert_uint_eq(index.count, count);
		if (step % 500 == 0)
			for (uint32_t k = 0; k < KEYS; k++)
				ck_assert_int_eq(holds(&index, crowded_hash(k), k), present[k]);
	}
	hash_index_deinit(&index);
}
END_TEST

START_TEST(runs_that_wrap_around_the_end_are_closed_up)
{
	struct hash_index index = HASH_INDEX_INIT;
	for (uint32_t v = 0; v < 10; v++)
		hash_index_insert(&index, 13 + v % 4, v); /* homes 13 … 0 of 16 */
	ck_assert_uint_eq(index.slot_count, 16);
	for (uint32_t gone = 0; gone < 10; gone++) {
		erase(&index, 13 + gone % 4, gone);
		for (uint32_t v = 0; v < 10; v++)
			ck_assert_int_eq(holds(&index, 13 + v % 4, v), v > gone);
	}
	hash_index_deinit(&index);
}
END_TEST

START_TEST(replace_changes_the_value_in_place)
{
	struct hash_index index = HASH_INDEX_INIT;
	hash_index_insert(&index, 7, 1);
	hash_index_insert(&index, 7, 2);
	uint32_t value;
	struct hash_cursor at = hash_index_seek(7);
	ck_assert(hash_index_next(&index, &at, &value));
	hash_index_replace(&index, &at, value + 100);
	ck_assert(holds(&index, 7, value + 100));
	ck_assert(!holds(&index, 7, value));
	ck_assert_uint_eq(index.count, 2);
	hash_index_deinit(&index);
}
END_TEST

START_TEST(memory_follows_the_count_up_and_down)
{
	struct hash_index index = HASH_INDEX_INIT;
	for (uint32_t v = 0; v < 100000; v++) {
		size_t announced = hash_index_bytes_after_insert(&index);
		hash_index_insert(&index, hash_index_hash(&v, sizeof(v)), v);
		ck_assert_uint_eq(hash_index_bytes(&index), announced);
		ck_assert_uint_le((uint64_t)index.count * 4, (uint64_t)index.slot_count * 3);
	}
	for (uint32_t v = 0; v < 100000; v++)
		erase(&index, hash_index_hash(&v, sizeof(v)), v);
	ck_assert_uint_eq(index.slot_count, 16);
	hash_index_deinit(&index);
}
END_TEST

START_TEST(a_cleared_index_is_empty_and_gives_memory_back_in_the_end)
{
	struct hash_index index = HASH_INDEX_INIT;
	for (uint32_t v = 0; v < 10000; v++)
		hash_index_insert(&index, v, v);
	hash_index_clear(&index);
	ck_assert_uint_eq(index.count, 0);
	for (uint32_t v = 0; v < 10000; v++)
		ck_assert(!holds(&index, v, v));
	for (int i = 0; i < 20; i++)
		hash_index_clear(&index);
	ck_assert_uint_eq(index.slot_count, 16);
	hash_index_insert(&index, 5, 9);
	ck_assert(holds(&index, 5, 9));
	hash_index_deinit(&index);
}
END_TEST

START_TEST(the_hash_spreads_neighbouring_keys)
{
	uint32_t low_bits[256] = {0};
	for (uint64_t id = 1; id <= 256 * 64; id++)
		low_bits[hash_index_hash(&id, sizeof(id)) % 256]++;
	for (int i = 0; i < 256; i++) {
		ck_assert_uint_gt(low_bits[i], 16); /* 6 standard deviations below 64 */
		ck_assert_uint_lt(low_bits[i], 112);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("hash_index");
	TCase *t = tcase_create("hash_index");
	tcase_add_test(t, an_empty_index_finds_nothing);
	tcase_add_test(t, colliding_values_survive_inserts_and_removals_in_any_order);
	tcase_add_test(t, runs_that_wrap_around_the_end_are_closed_up);
	tcase_add_test(t, replace_changes_the_value_in_place);
	tcase_add_test(t, memory_follows_the_count_up_and_down);
	tcase_add_test(t, a_cleared_index_is_empty_and_gives_memory_back_in_the_end);
	tcase_add_test(t, the_hash_spreads_neighbouring_keys);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
