/*
 * The counting filter, searched completely within small bounds; and each of its rules taken out,
 * which must break something. SPPROF_MODEL=large searches the larger bounds as well.
 */
#include <stdlib.h>
#include <string.h>
#include "model/filter_model.h"
#include "support/tap_main.h"

/* A state takes some 100 bytes. */
#define MAX_STATES (UINT64_C(1) << 26)

/* Every two of the first three blocks share a cell; the fourth has a cell of each of the first two.
 */
#define CELLS                                                                                      \
	{                                                                                          \
		{0, 1}, {1, 2}, {2, 0},                                                            \
		{                                                                                  \
			0, 2                                                                       \
		}                                                                                  \
	}

/* A's block is freed by B, while A takes and frees another one that shares a cell. */
static const struct filter_config handover = {.saturation = 3,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_MALLOC, 1}, {FILTER_FREE, 1}}, {{FILTER_FREE, 0}},
		{{FILTER_MALLOC, 2}, {FILTER_FREE, 2}}}};

/* Three blocks that share cells, and a cell that counts to two. */
static const struct filter_config saturated = {.saturation = 2,
	.cells = {{0, 1}, {0, 2}, {0, 3}, {1, 2}},
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 0}}, {{FILTER_MALLOC, 1}, {FILTER_FREE, 1}},
		{{FILTER_MALLOC, 2}, {FILTER_FREE, 2}}}};

/* A block is reallocated by B, with and without success, and then freed by C. */
static const struct filter_config reallocated = {.saturation = 3,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_MALLOC, 1}, {FILTER_FREE, 1}},
		{{FILTER_REALLOC, 0}}, {{FILTER_FREE, 0}}}};

/* C frees a block that was not sampled although its cells are in use. */
static const struct filter_config false_positive = {.saturation = 3,
	.cells = {{0, 1}, {1, 2}, {2, 3}, {0, 2}},
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 0}}, {{FILTER_MALLOC, 1}, {FILTER_FREE, 1}},
		{{FILTER_UNSAMPLED, 3}, {FILTER_FREE, 3}}}};

/* One thread stops for ever anywhere; one forks anywhere, and its child frees what it finds. */
static const struct filter_config killed = {.saturation = 3,
	.kills = 1,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 0}}, {{FILTER_MALLOC, 1}, {FILTER_FREE, 1}},
		{{FILTER_MALLOC, 2}, {FILTER_FREE, 2}}}};
static const struct filter_config forked = {.saturation = 3,
	.fork = 1,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 1}, {FILTER_FREE, 2}},
		{{FILTER_MALLOC, 1}, {FILTER_REALLOC, 1}, {FILTER_FREE, 0}},
		{{FILTER_MALLOC, 2}, {FILTER_FREE, 1}}}};

/* Kills and a fork among reallocs and saturated cells. */
static const struct filter_config everything = {.saturation = 2,
	.kills = 1,
	.fork = 1,
	.cells = {{0, 1}, {0, 2}, {0, 3}, {1, 2}},
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 1}, {FILTER_FREE, 2}},
		{{FILTER_MALLOC, 1}, {FILTER_REALLOC, 1}, {FILTER_FREE, 0}},
		{{FILTER_MALLOC, 2}, {FILTER_UNSAMPLED, 3}, {FILTER_FREE, 3}}}};

/* Larger bounds: the same with two kills, more reallocs and addresses used again. */
static const struct filter_config larger = {.saturation = 2,
	.kills = 2,
	.fork = 1,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 0}, {FILTER_MALLOC, 0}, {FILTER_FREE, 1}},
		{{FILTER_MALLOC, 1}, {FILTER_REALLOC, 1}, {FILTER_FREE, 0}, {FILTER_FREE, 2}},
		{{FILTER_MALLOC, 2}, {FILTER_REALLOC, 2}, {FILTER_FREE, 2}, {FILTER_FREE, 1}}}};
static const struct filter_config larger_exact = {.saturation = 3,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}, {FILTER_FREE, 0}, {FILTER_MALLOC, 0}, {FILTER_FREE, 0}},
		{{FILTER_MALLOC, 1}, {FILTER_REALLOC, 1}, {FILTER_FREE, 1}, {FILTER_MALLOC, 1}},
		{{FILTER_MALLOC, 2}, {FILTER_REALLOC, 2}, {FILTER_FREE, 2}, {FILTER_FREE, 1}}}};

/* C rebuilds twice while B frees A's block. */
static const struct filter_config swapped = {.saturation = 1,
	.faults = FILTER_SWAPPED,
	.cells = CELLS,
	.script = {{{FILTER_MALLOC, 0}}, {{FILTER_FREE, 0}},
		{{FILTER_REBUILD, 0}, {FILTER_REBUILD, 0}}}};

static void assert_sound(const struct filter_config *config, uint32_t rules)
{
	struct explore_result result;
	struct filter_config with = *config;
	with.faults |= rules;
	filter_model_run(&with, MAX_STATES, &result);
	ck_assert_msg(result.broken == NULL, "%s after %llu states:\n%s", result.broken,
		(unsigned long long)result.states, result.trace);
	ck_assert_msg(result.complete, "not searched to the end: %llu states",
		(unsigned long long)result.states);
	ck_assert_uint_gt(result.states, 500);
}

static void assert_breaks(struct filter_config config, uint32_t faults, const char *sentence)
{
	struct explore_result result;
	config.faults |= faults;
	filter_model_run(&config, MAX_STATES, &result);
	ck_assert_msg(result.broken != NULL, "nothing breaks in %llu states",
		(unsigned long long)result.states);
	ck_assert_msg(strcmp(result.broken, sentence) == 0, "%s:\n%s", result.broken, result.trace);
	ck_assert_str_ne(result.trace, "");
}

#define SOUND(name, config, rules)                                                                 \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_sound(&config, rules);                                                      \
	}                                                                                          \
	END_TEST
#define BREAKS(name, config, faults, sentence)                                                     \
	START_TEST(name)                                                                           \
	{                                                                                          \
		assert_breaks(config, faults, sentence);                                           \
	}                                                                                          \
	END_TEST

#define MISSED "a free passed by a block that is in the map"
#define FEWER  "a cell counts fewer blocks than lie on it"
#define LEAK   "a cell counts more blocks than lie on it"

SOUND(blocks_that_share_cells_are_found_and_leave_nothing, handover, 0)
SOUND(a_full_cell_keeps_every_block_findable, saturated, 0)
SOUND(a_block_is_found_after_a_realloc_that_failed_or_not, reallocated, 0)
SOUND(a_free_that_was_not_sampled_counts_nothing_down, false_positive, 0)
SOUND(a_killed_thread_leaks_upwards_only, killed, 0)
SOUND(a_forked_child_finds_every_block, forked, 0)
SOUND(kills_and_forks_among_reallocs_and_full_cells_lose_nothing, everything, 0)
SOUND(two_kills_and_a_fork_lose_nothing, larger, 0)
SOUND(reallocs_and_reused_addresses_leave_nothing, larger_exact, 0)
SOUND(a_reader_that_looks_again_survives_swapped_filters, swapped, FILTER_SWAP_LOOKS_AGAIN)

BREAKS(counting_after_malloc_has_returned_hides_a_block, handover, FILTER_ADD_AFTER_RETURN, MISSED)
BREAKS(counting_down_before_the_take_hides_another_block, false_positive, FILTER_REMOVE_BEFORE_TAKE,
	MISSED)
BREAKS(counting_down_after_a_failed_realloc_hides_the_block, reallocated,
	FILTER_REMOVE_ON_FAILED_REALLOC, MISSED)
BREAKS(counting_a_full_cell_down_hides_a_block, saturated, FILTER_REMOVE_SATURATED, MISSED)
BREAKS(a_full_cell_that_wraps_around_hides_blocks, saturated, FILTER_WRAP, MISSED)
BREAKS(clearing_a_cell_hides_the_other_block_on_it, handover, FILTER_CLEAR_CELLS, MISSED)
BREAKS(counting_up_in_two_steps_hides_a_block, handover, FILTER_ADD_IN_TWO, MISSED)
BREAKS(counting_down_in_two_steps_hides_a_block, handover, FILTER_REMOVE_IN_TWO, MISSED)
BREAKS(a_realloc_that_does_not_count_down_leaks, reallocated, FILTER_NO_REMOVE_ON_REALLOC, LEAK)
BREAKS(a_recycled_filter_hides_a_block_from_a_preempted_reader, swapped, 0, MISSED)

static Suite *filter_model_suite(void)
{
	Suite *suite = suite_create("filter_model");
	TCase *sound = tcase_create("sound");
	tcase_set_timeout(sound, 600);
	tcase_add_test(sound, blocks_that_share_cells_are_found_and_leave_nothing);
	tcase_add_test(sound, a_full_cell_keeps_every_block_findable);
	tcase_add_test(sound, a_block_is_found_after_a_realloc_that_failed_or_not);
	tcase_add_test(sound, a_free_that_was_not_sampled_counts_nothing_down);
	tcase_add_test(sound, a_killed_thread_leaks_upwards_only);
	tcase_add_test(sound, a_forked_child_finds_every_block);
	tcase_add_test(sound, a_reader_that_looks_again_survives_swapped_filters);
	tcase_add_test(sound, kills_and_forks_among_reallocs_and_full_cells_lose_nothing);
	const char *bounds = getenv("SPPROF_MODEL");
	if (bounds && bounds[0] == 'l') {
		tcase_add_test(sound, two_kills_and_a_fork_lose_nothing);
		tcase_add_test(sound, reallocs_and_reused_addresses_leave_nothing);
	}
	suite_add_tcase(suite, sound);
	TCase *faulty = tcase_create("faulty");
	tcase_set_timeout(faulty, 600);
	tcase_add_test(faulty, counting_after_malloc_has_returned_hides_a_block);
	tcase_add_test(faulty, counting_down_before_the_take_hides_another_block);
	tcase_add_test(faulty, counting_down_after_a_failed_realloc_hides_the_block);
	tcase_add_test(faulty, counting_a_full_cell_down_hides_a_block);
	tcase_add_test(faulty, a_full_cell_that_wraps_around_hides_blocks);
	tcase_add_test(faulty, clearing_a_cell_hides_the_other_block_on_it);
	tcase_add_test(faulty, counting_up_in_two_steps_hides_a_block);
	tcase_add_test(faulty, counting_down_in_two_steps_hides_a_block);
	tcase_add_test(faulty, a_realloc_that_does_not_count_down_leaks);
	tcase_add_test(faulty, a_recycled_filter_hides_a_block_from_a_preempted_reader);
	suite_add_tcase(suite, faulty);
	return suite;
}

TAP_MAIN(filter_model_suite)
