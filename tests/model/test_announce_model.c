/*
 * The announce/retire protocol, searched completely within small bounds; and each of its repairs
 * taken out again, which must break something. SPPROF_MODEL=large searches the larger bounds as
 * well.
 */
#include <stdlib.h>
#include "model/announce_model.h"
#include "support/tap_main.h"

/* A state takes some 150 bytes. */
#define MAX_STATES (UINT64_C(1) << 26)

/* A hands a block over to B, which frees it; C is given its address. */
static const struct announce_config handover = {.slots = 2,
	.rings = 2,
	.addresses = 1,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_MALLOC, 1}}}};

/* The same with two addresses and one slot: C's block takes the slot while B retires it. */
static const struct announce_config slot_reuse = {.slots = 1,
	.rings = 2,
	.addresses = 2,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_MALLOC, 1}}}};

/* A block that was never announced is freed by B and announced late by C, while D takes address and
 * slot. */
static const struct announce_config late = {.slots = 1,
	.rings = 2,
	.addresses = 1,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC_LOST, 0}}, {{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_LATE, 0}},
		{{ANNOUNCE_MALLOC, 1}}}};

/* ... and in a ring that is nearly full. */
static const struct announce_config late_nearly_full = {.slots = 2,
	.rings = 1,
	.addresses = 2,
	.ring_capacity = 2,
	.script = {{{ANNOUNCE_MALLOC_LOST, 0}, {ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_FREE, 0}},
		{{ANNOUNCE_LATE, 0}}}};

/* A reallocs a block (in place, elsewhere, or in vain) while B announces late. */
static const struct announce_config late_realloc = {.slots = 2,
	.rings = 2,
	.addresses = 2,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC_LOST, 0}, {ANNOUNCE_REALLOC, 0}}, {{ANNOUNCE_LATE, 0}}}};

/* A reallocs a block while B takes the address that it leaves. */
static const struct announce_config realloc_and_malloc = {.slots = 2,
	.rings = 2,
	.addresses = 2,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC, 0}, {ANNOUNCE_REALLOC, 0}}, {{ANNOUNCE_MALLOC, 2}}}};

/* Two blocks, four threads, one ring of two records: births and deaths find no room. */
static const struct announce_config full_ring = {.slots = 2,
	.rings = 1,
	.addresses = 2,
	.ring_capacity = 2,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_FREE, 0}},
		{{ANNOUNCE_FREE, 1}}}};

/* A block that B frees while A has not announced it yet: programs cannot, a resync's announcements
 * can. */
static const struct announce_config early_free = {.slots = 1,
	.rings = 2,
	.addresses = 1,
	.ring_capacity = 4,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE_EARLY, 0}}, {{ANNOUNCE_MALLOC, 1}}}};

/* Larger bounds: two rings under two pairs of threads; a late announcer among them. */
static const struct announce_config two_pairs = {.slots = 2,
	.rings = 2,
	.addresses = 2,
	.ring_capacity = 3,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_FREE, 0}},
		{{ANNOUNCE_FREE, 1}}}};
static const struct announce_config late_two_blocks = {.slots = 2,
	.rings = 2,
	.addresses = 2,
	.ring_capacity = 3,
	.script = {{{ANNOUNCE_MALLOC_LOST, 0}, {ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_FREE, 0}},
		{{ANNOUNCE_LATE, 0}}, {{ANNOUNCE_FREE, 1}}}};

static void assert_sound(const struct announce_config *config)
{
	struct explore_result result;
	announce_model_run(config, MAX_STATES, &result);
	ck_assert_msg(result.broken == NULL, "%s after %llu states:\n%s", result.broken,
		(unsigned long long)result.states, result.trace);
	ck_assert_msg(result.complete, "not searched to the end: %llu states",
		(unsigned long long)result.states);
	ck_assert_uint_gt(result.states, 300);
}

static void assert_breaks(struct announce_config config, enum announce_fault fault)
{
	struct explore_result result;
	config.faults = fault;
	announce_model_run(&config, MAX_STATES, &result);
	ck_assert_msg(result.broken != NULL, "nothing breaks in %llu states",
		(unsigned long long)result.states);
	ck_assert_str_ne(result.broken, "the model's own bounds are too small");
	ck_assert_str_ne(result.trace, "");
}

#define SOUND(name, config)                                                                        \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_sound(&config);                                                             \
	}                                                                                          \
	END_TEST
#define BREAKS(name, config, fault)                                                                \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_breaks(config, fault);                                                      \
	}                                                                                          \
	END_TEST

SOUND(a_block_that_changes_hands_keeps_map_and_daemon_equal, handover)
SOUND(a_slot_reused_while_it_is_retired_keeps_them_equal, slot_reuse)
SOUND(a_late_announcement_of_a_dying_block_is_taken_back, late)
SOUND(a_late_announcement_into_a_nearly_full_ring_can_be_taken_back, late_nearly_full)
SOUND(a_late_announcement_during_realloc_names_what_lives, late_realloc)
SOUND(realloc_never_takes_another_threads_entry, realloc_and_malloc)
SOUND(full_rings_lose_only_what_they_count, full_ring)
SOUND(a_death_during_birth_is_told_once, early_free)
SOUND(two_pairs_of_threads_on_two_rings_stay_equal, two_pairs)
SOUND(late_announcements_among_two_blocks_stay_equal, late_two_blocks)

BREAKS(without_the_second_look_a_dead_block_stays_live, late, ANNOUNCE_NO_SECOND_LOOK)
BREAKS(a_mark_before_its_birth_lets_the_death_come_first, late, ANNOUNCE_MARK_BEFORE_BIRTH)
BREAKS(a_mark_that_ignores_the_id_falls_to_the_next_tenant, late, ANNOUNCE_MARK_ANY_TENANT)
BREAKS(a_mark_that_is_set_already_is_not_a_death, late, ANNOUNCE_MARKED_IS_GONE)
BREAKS(a_copy_that_is_not_checked_mixes_two_entries, late, ANNOUNCE_NO_COPY_CHECK)
BREAKS(a_copy_that_reads_the_key_before_the_id_mixes_two_entries, late, ANNOUNCE_KEY_BEFORE_ID)
BREAKS(without_room_for_its_death_a_birth_cannot_be_taken_back, late_nearly_full,
	ANNOUNCE_NO_ROOM_FOR_DEATH)
BREAKS(a_mark_read_and_cleared_in_two_steps_hides_a_death, late, ANNOUNCE_RETIRE_IN_TWO)
BREAKS(a_slot_given_up_before_its_mark_was_taken_hides_a_death, slot_reuse, ANNOUNCE_TOMB_TOO_EARLY)
BREAKS(removing_after_the_real_free_removes_the_next_owners_entry, handover,
	ANNOUNCE_REMOVE_AFTER_FREE)
BREAKS(a_realloc_that_looks_up_the_address_again_finds_another_block, realloc_and_malloc,
	ANNOUNCE_REALLOC_BY_ADDRESS)
BREAKS(a_realloc_that_removes_first_loses_the_block_when_it_fails, late_realloc,
	ANNOUNCE_REALLOC_REMOVES_FIRST)
BREAKS(deaths_forgotten_at_once_let_a_birth_come_after_them, slot_reuse, ANNOUNCE_FORGET_DEATHS)
BREAKS(an_uncounted_loss_is_noticed, full_ring, ANNOUNCE_UNCOUNTED_LOSS)

static Suite *announce_model_suite(void)
{
	Suite *suite = suite_create("announce_model");
	TCase *sound = tcase_create("sound");
	tcase_set_timeout(sound, 600);
	tcase_add_test(sound, a_block_that_changes_hands_keeps_map_and_daemon_equal);
	tcase_add_test(sound, a_slot_reused_while_it_is_retired_keeps_them_equal);
	tcase_add_test(sound, a_late_announcement_of_a_dying_block_is_taken_back);
	tcase_add_test(sound, a_late_announcement_into_a_nearly_full_ring_can_be_taken_back);
	tcase_add_test(sound, a_late_announcement_during_realloc_names_what_lives);
	tcase_add_test(sound, realloc_never_takes_another_threads_entry);
	tcase_add_test(sound, full_rings_lose_only_what_they_count);
	tcase_add_test(sound, a_death_during_birth_is_told_once);
	const char *bounds = getenv("SPPROF_MODEL");
	if (bounds && bounds[0] == 'l') {
		tcase_add_test(sound, two_pairs_of_threads_on_two_rings_stay_equal);
		tcase_add_test(sound, late_announcements_among_two_blocks_stay_equal);
	}
	suite_add_tcase(suite, sound);
	TCase *faulty = tcase_create("faulty");
	tcase_set_timeout(faulty, 600);
	tcase_add_test(faulty, without_the_second_look_a_dead_block_stays_live);
	tcase_add_test(faulty, a_mark_before_its_birth_lets_the_death_come_first);
	tcase_add_test(faulty, a_mark_that_ignores_the_id_falls_to_the_next_tenant);
	tcase_add_test(faulty, a_mark_that_is_set_already_is_not_a_death);
	tcase_add_test(faulty, a_copy_that_is_not_checked_mixes_two_entries);
	tcase_add_test(faulty, a_copy_that_reads_the_key_before_the_id_mixes_two_entries);
	tcase_add_test(faulty, without_room_for_its_death_a_birth_cannot_be_taken_back);
	tcase_add_test(faulty, a_mark_read_and_cleared_in_two_steps_hides_a_death);
	tcase_add_test(faulty, a_slot_given_up_before_its_mark_was_taken_hides_a_death);
	tcase_add_test(faulty, removing_after_the_real_free_removes_the_next_owners_entry);
	tcase_add_test(faulty, a_realloc_that_looks_up_the_address_again_finds_another_block);
	tcase_add_test(faulty, a_realloc_that_removes_first_loses_the_block_when_it_fails);
	tcase_add_test(faulty, deaths_forgotten_at_once_let_a_birth_come_after_them);
	tcase_add_test(faulty, an_uncounted_loss_is_noticed);
	suite_add_tcase(suite, faulty);
	return suite;
}

TAP_MAIN(announce_model_suite)
