/*
 * The resync, searched completely within small bounds together with announce and retire; and each
 * of its rules taken out, which must break something. SPPROF_MODEL=large searches the larger bounds
 * as well.
 */
#include <stdlib.h>
#include <string.h>
#include "model/announce_model.h"
#include "support/tap_main.h"

/* A state takes some 170 bytes. */
#define MAX_STATES (UINT64_C(1) << 26)

#define ONE_SLOT  .slots = 1, .rings = 2, .addresses = 1, .ring_capacity = 4
#define TWO_SLOTS .slots = 2, .rings = 2, .addresses = 2, .ring_capacity = 4

/* One block, known to the daemon or not, is freed while it is told again. */
static const struct announce_config known = {ONE_SLOT, .born = {ANNOUNCE_KNOWN}, .requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config unknown = {ONE_SLOT, .born = {ANNOUNCE_UNKNOWN}, .requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}}};

/* ... and another one takes its address and its slot. */
static const struct announce_config reuse_known = {ONE_SLOT, .born = {ANNOUNCE_KNOWN},
	.requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}, {ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config reuse_unknown = {ONE_SLOT, .born = {ANNOUNCE_UNKNOWN},
	.requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}, {ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_WALK, 1}}}};

/* A block is born, and dies, during the walk. */
static const struct announce_config birth = {ONE_SLOT, .requests = 1,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}}};

/* Two walkers, of whom one may stop at any instruction for any time: nothing but a delay. */
static const struct announce_config two_walkers = {TWO_SLOTS,
	.born = {ANNOUNCE_KNOWN, ANNOUNCE_UNKNOWN}, .requests = 1,
	.script = {{{ANNOUNCE_WALK, 1}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config two_walkers_unknown = {ONE_SLOT, .born = {ANNOUNCE_UNKNOWN},
	.requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}, {{ANNOUNCE_WALK, 1}}}};

/* A realloc in place or in vain. */
static const struct announce_config reallocated = {ONE_SLOT, .born = {ANNOUNCE_KNOWN},
	.requests = 1, .script = {{{ANNOUNCE_REALLOC, 0}}, {{ANNOUNCE_WALK, 1}}}};

/* The daemon gives the first resync up at any time and asks for a second one. */
static const struct announce_config two_epochs = {ONE_SLOT, .born = {ANNOUNCE_KNOWN}, .requests = 2,
	.script = {{{ANNOUNCE_WALK, 2}}, {{ANNOUNCE_WALK, 2}}}};

/* A block is born while one of two walkers still is in the first resync. */
static const struct announce_config stale_walker = {ONE_SLOT, .requests = 2,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_WALK, 2}}, {{ANNOUNCE_WALK, 2}}}};

/* The only ring is leased to the walker when a birth or a death needs it. */
static const struct announce_config lossy = {.slots = 1,
	.rings = 1,
	.addresses = 1,
	.ring_capacity = 4,
	.requests = 2,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 2}}}};

/* The daemon is replaced at any moment. */
static const struct announce_config restarted = {ONE_SLOT, .born = {ANNOUNCE_UNKNOWN},
	.requests = 2, .restarts = 1, .script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 2}}}};

/* A thread is killed anywhere, and a resync is asked for after that. */
static const struct announce_config killed_free = {ONE_SLOT, .born = {ANNOUNCE_KNOWN},
	.requests = 1, .kills = 1, .script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config killed_walker = {ONE_SLOT, .born = {ANNOUNCE_UNKNOWN},
	.requests = 2, .kills = 1, .script = {{{ANNOUNCE_WALK, 2}}, {{ANNOUNCE_WALK, 2}}}};

/* Larger bounds. */
static const struct announce_config large_walkers = {TWO_SLOTS,
	.born = {ANNOUNCE_KNOWN, ANNOUNCE_UNKNOWN}, .requests = 1,
	.script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 1}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config large_birth = {TWO_SLOTS,
	.born = {ANNOUNCE_UNBORN, ANNOUNCE_KNOWN}, .requests = 1,
	.script = {{{ANNOUNCE_MALLOC, 0}}, {{ANNOUNCE_FREE, 1}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config large_epochs = {ONE_SLOT, .born = {ANNOUNCE_KNOWN},
	.requests = 2,
	.script = {{{ANNOUNCE_FREE, 0}, {ANNOUNCE_MALLOC, 1}}, {{ANNOUNCE_WALK, 2}}}};
static const struct announce_config large_realloc = {TWO_SLOTS, .requests = 1,
	.script = {{{ANNOUNCE_MALLOC, 0}, {ANNOUNCE_REALLOC, 0}}, {{ANNOUNCE_WALK, 1}}}};
static const struct announce_config large_full = {.slots = 2,
	.rings = 1,
	.addresses = 2,
	.ring_capacity = 2,
	.born = {ANNOUNCE_KNOWN, ANNOUNCE_UNKNOWN},
	.requests = 2,
	.script = {{{ANNOUNCE_FREE, 0}}, {{ANNOUNCE_FREE, 1}}, {{ANNOUNCE_WALK, 2}}}};
static const struct announce_config large_restart = {ONE_SLOT, .requests = 2, .restarts = 1,
	.script = {{{ANNOUNCE_MALLOC, 0}, {ANNOUNCE_FREE, 0}}, {{ANNOUNCE_WALK, 2}}}};

static void assert_sound(struct announce_config config, uint32_t faults)
{
	struct explore_result result;
	config.faults = faults;
	announce_model_run(&config, MAX_STATES, &result);
	ck_assert_msg(result.broken == NULL, "%s after %llu states:\n%s", result.broken,
		(unsigned long long)result.states, result.trace);
	ck_assert_msg(result.complete, "not searched to the end: %llu states",
		(unsigned long long)result.states);
	ck_assert_uint_gt(result.states, 500);
}

static void assert_breaks(struct announce_config config, uint32_t fault, const char *sentence)
{
	struct explore_result result;
	config.faults = fault;
	announce_model_run(&config, MAX_STATES, &result);
	ck_assert_msg(result.broken != NULL, "nothing breaks in %llu states",
		(unsigned long long)result.states);
	ck_assert_msg(strcmp(result.broken, sentence) == 0, "%s:\n%s", result.broken, result.trace);
	ck_assert_str_ne(result.trace, "");
}

#define SOUND(name, config, faults)                                                                \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_sound(config, faults);                                                      \
	}                                                                                          \
	END_TEST
#define BREAKS(name, config, fault, sentence)                                                      \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_breaks(config, fault, sentence);                                            \
	}                                                                                          \
	END_TEST

#define SWEPT	  "a resync has erased a live block"
#define DEAD	  "a dead block is live after a verified resync"
#define UNKNOWN	  "a live block is unknown after a verified resync"
#define LOST_LIVE "a LIVE was lost: the resync never ends"
#define LOST_END  "END was lost: the resync never ends"
#define HAUNTED	  "an id is live for the daemon after its death was drained"

SOUND(a_block_that_dies_while_it_is_told_again_stays_dead, known, ANNOUNCE_SOUND)
SOUND(a_block_whose_birth_was_lost_is_learned_or_dies, unknown, ANNOUNCE_SOUND)
SOUND(a_slot_reused_during_a_walk_is_told_by_its_birth, reuse_known, ANNOUNCE_SOUND)
SOUND(a_slot_reused_under_an_unknown_block_is_told_by_its_birth, reuse_unknown, ANNOUNCE_SOUND)
SOUND(a_block_born_during_a_walk_is_never_swept, birth, ANNOUNCE_SOUND)
SOUND(two_walkers_tell_each_slot_once, two_walkers, ANNOUNCE_SOUND)
SOUND(a_stalled_walker_only_delays, two_walkers_unknown, ANNOUNCE_SOUND)
SOUND(a_realloc_during_a_walk_is_told, reallocated, ANNOUNCE_SOUND)
SOUND(a_second_request_during_the_first_walk_is_answered, two_epochs, ANNOUNCE_SOUND)
SOUND(losses_before_a_resync_are_mended_by_it, lossy, ANNOUNCE_SOUND)
SOUND(a_new_daemon_learns_the_whole_map, restarted, ANNOUNCE_SOUND)
SOUND(a_thread_killed_while_freeing_leaves_nothing_after_a_resync, killed_free, ANNOUNCE_SOUND)
SOUND(a_killed_walker_leaves_nothing_after_the_next_resync, killed_walker, ANNOUNCE_SOUND)
/* Not a rule that is needed: every LIVE was read by then, and what is erased was known before. */
SOUND(counted_lives_make_a_further_round_unnecessary, two_walkers_unknown, ANNOUNCE_SWEEP_AT_END)
SOUND(a_walker_of_the_first_resync_among_births_only_delays, stale_walker, ANNOUNCE_SOUND)
SOUND(two_walkers_and_a_free_on_two_slots_stay_equal, large_walkers, ANNOUNCE_SOUND)
SOUND(a_birth_and_a_death_during_a_walk_stay_equal, large_birth, ANNOUNCE_SOUND)
SOUND(two_requests_among_births_and_deaths_stay_equal, large_epochs, ANNOUNCE_SOUND)
SOUND(a_moving_realloc_during_a_walk_is_told, large_realloc, ANNOUNCE_SOUND)
SOUND(full_rings_delay_a_walk_and_lose_nothing_uncounted, large_full, ANNOUNCE_SOUND)
SOUND(a_new_daemon_among_births_and_deaths_learns_the_whole_map, large_restart, ANNOUNCE_SOUND)

BREAKS(a_bound_by_ids_erases_a_block_in_its_birth, birth, ANNOUNCE_ID_BOUND, SWEPT)
BREAKS(a_request_during_a_round_erases_a_block_in_its_birth, birth, ANNOUNCE_REQUEST_IN_ROUND,
	SWEPT)
BREAKS(skipping_a_block_in_realloc_erases_it, reallocated, ANNOUNCE_SKIP_LIMBO, SWEPT)
BREAKS(skipping_an_untold_death_leaves_the_digest_different, killed_free, ANNOUNCE_SKIP_BUSY,
	UNKNOWN)
BREAKS(sweeping_before_every_live_was_read_erases_live_blocks, two_walkers,
	ANNOUNCE_SWEEP_UNCOUNTED, SWEPT)
BREAKS(claiming_before_there_is_room_loses_a_record, lossy, ANNOUNCE_CLAIM_FIRST, LOST_END)
BREAKS(claiming_in_two_steps_counts_a_slot_twice, two_walkers, ANNOUNCE_CLAIM_IN_TWO, LOST_LIVE)
BREAKS(a_claim_in_another_epoch_passes_blocks_by, stale_walker, ANNOUNCE_CLAIM_ANY_EPOCH, SWEPT)
BREAKS(a_live_that_is_not_looked_at_again_revives_the_dead, reuse_known, ANNOUNCE_NO_SECOND_LOOK,
	HAUNTED)
BREAKS(a_mark_that_another_announcer_set_is_no_death, two_walkers, ANNOUNCE_MARKED_IS_GONE,
	"an entry is marked announced, but the daemon does not know it")
BREAKS(deaths_forgotten_at_once_are_undone_by_a_live, unknown, ANNOUNCE_FORGET_DEATHS, HAUNTED)
BREAKS(a_new_daemon_that_asks_before_its_first_round_keeps_the_dead, restarted,
	ANNOUNCE_REQUEST_AT_START, DEAD)
BREAKS(losses_read_when_the_resync_is_asked_for_come_too_late, lossy, ANNOUNCE_LATE_BASELINE, DEAD)
BREAKS(a_resync_with_losses_verifies_nothing, lossy, ANNOUNCE_SWEEP_AFTER_LOSS, DEAD)

static Suite *resync_model_suite(void)
{
	Suite *suite = suite_create("resync_model");
	TCase *sound = tcase_create("sound");
	tcase_set_timeout(sound, 600);
	tcase_add_test(sound, a_block_that_dies_while_it_is_told_again_stays_dead);
	tcase_add_test(sound, a_block_whose_birth_was_lost_is_learned_or_dies);
	tcase_add_test(sound, a_slot_reused_during_a_walk_is_told_by_its_birth);
	tcase_add_test(sound, a_slot_reused_under_an_unknown_block_is_told_by_its_birth);
	tcase_add_test(sound, a_block_born_during_a_walk_is_never_swept);
	tcase_add_test(sound, two_walkers_tell_each_slot_once);
	tcase_add_test(sound, a_stalled_walker_only_delays);
	tcase_add_test(sound, a_realloc_during_a_walk_is_told);
	tcase_add_test(sound, a_second_request_during_the_first_walk_is_answered);
	tcase_add_test(sound, losses_before_a_resync_are_mended_by_it);
	tcase_add_test(sound, a_new_daemon_learns_the_whole_map);
	tcase_add_test(sound, a_thread_killed_while_freeing_leaves_nothing_after_a_resync);
	tcase_add_test(sound, a_killed_walker_leaves_nothing_after_the_next_resync);
	tcase_add_test(sound, counted_lives_make_a_further_round_unnecessary);
	const char *bounds = getenv("SPPROF_MODEL");
	if (bounds && bounds[0] == 'l') {
		tcase_add_test(sound, a_walker_of_the_first_resync_among_births_only_delays);
		tcase_add_test(sound, two_walkers_and_a_free_on_two_slots_stay_equal);
		tcase_add_test(sound, a_birth_and_a_death_during_a_walk_stay_equal);
		tcase_add_test(sound, two_requests_among_births_and_deaths_stay_equal);
		tcase_add_test(sound, a_moving_realloc_during_a_walk_is_told);
		tcase_add_test(sound, full_rings_delay_a_walk_and_lose_nothing_uncounted);
		tcase_add_test(sound, a_new_daemon_among_births_and_deaths_learns_the_whole_map);
	}
	suite_add_tcase(suite, sound);
	TCase *faulty = tcase_create("faulty");
	tcase_set_timeout(faulty, 600);
	tcase_add_test(faulty, a_bound_by_ids_erases_a_block_in_its_birth);
	tcase_add_test(faulty, a_request_during_a_round_erases_a_block_in_its_birth);
	tcase_add_test(faulty, skipping_a_block_in_realloc_erases_it);
	tcase_add_test(faulty, skipping_an_untold_death_leaves_the_digest_different);
	tcase_add_test(faulty, sweeping_before_every_live_was_read_erases_live_blocks);
	tcase_add_test(faulty, claiming_before_there_is_room_loses_a_record);
	tcase_add_test(faulty, claiming_in_two_steps_counts_a_slot_twice);
	tcase_add_test(faulty, a_claim_in_another_epoch_passes_blocks_by);
	tcase_add_test(faulty, a_live_that_is_not_looked_at_again_revives_the_dead);
	tcase_add_test(faulty, a_mark_that_another_announcer_set_is_no_death);
	tcase_add_test(faulty, deaths_forgotten_at_once_are_undone_by_a_live);
	tcase_add_test(faulty, a_new_daemon_that_asks_before_its_first_round_keeps_the_dead);
	tcase_add_test(faulty, losses_read_when_the_resync_is_asked_for_come_too_late);
	tcase_add_test(faulty, a_resync_with_losses_verifies_nothing);
	suite_add_tcase(suite, faulty);
	return suite;
}

TAP_MAIN(resync_model_suite)
