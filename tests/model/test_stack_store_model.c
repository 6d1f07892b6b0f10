/*
 * The counts and the free list of the stack store, searched completely within small bounds; and
 * each precaution taken out again, which must break something.
 */
#include <stdio.h>
#include "model/stack_store_model.h"
#include "support/tap_main.h"

#define MAX_STATES (UINT64_C(1) << 24)

#define INTERN(stack)                                                                              \
	{                                                                                          \
		STACK_STORE_MODEL_INTERN, stack                                                    \
	}
#define RELEASE(index)                                                                             \
	{                                                                                          \
		STACK_STORE_MODEL_RELEASE, index                                                   \
	}
#define STALE(entry)                                                                               \
	{                                                                                          \
		STACK_STORE_MODEL_STALE, entry                                                     \
	}

/* Two bring the same stack, a third another of two blocks, in two entries. */
static const struct stack_store_model_config sharing = {.entries = 2,
	.blocks = 4,
	.script = {{INTERN(1), RELEASE(0)}, {INTERN(1), RELEASE(0)}, {INTERN(3), RELEASE(0)}}};

/* One entry that changes hands while a third thread takes it by a stale reference. */
static const struct stack_store_model_config stale = {.entries = 1,
	.blocks = 2,
	.script = {{INTERN(1), RELEASE(0), INTERN(1), RELEASE(2)}, {INTERN(3), RELEASE(0)},
		{STALE(0), STALE(0)}}};

/* A block goes and comes back while another thread is about to take it. */
static const struct stack_store_model_config reuse = {.entries = 3,
	.blocks = 3,
	.script = {{INTERN(1), RELEASE(0)}, {INTERN(2), INTERN(5), RELEASE(0), RELEASE(1)}}};

/* The same by three threads, the third taking two blocks at once. */
static const struct stack_store_model_config aba = {.entries = 3,
	.blocks = 3,
	.script = {{INTERN(1), RELEASE(0)}, {INTERN(2), RELEASE(0), INTERN(2), RELEASE(2)},
		{INTERN(3), RELEASE(0)}}};

static const struct stack_store_model_config killed_sharing = {.entries = 2,
	.blocks = 4,
	.kills = true,
	.script = {{INTERN(1), RELEASE(0)}, {INTERN(1), RELEASE(0)}, {INTERN(3), RELEASE(0)}}};

static void assert_sound(const struct stack_store_model_config *config)
{
	struct explore_result result;

	stack_store_model_run(config, MAX_STATES, &result);
	ck_assert_msg(result.broken == NULL, "%s after %llu states:\n%s", result.broken,
		(unsigned long long)result.states, result.trace);
	ck_assert_msg(result.complete, "not searched to the end: %llu states",
		(unsigned long long)result.states);
	ck_assert_uint_gt(result.states, 500);
	printf("# %llu states\n", (unsigned long long)result.states);
}

static void assert_breaks(
	struct stack_store_model_config config, enum stack_store_model_fault fault)
{
	struct explore_result result;

	config.faults = fault;
	stack_store_model_run(&config, MAX_STATES, &result);
	ck_assert_msg(result.broken != NULL, "nothing breaks in %llu states",
		(unsigned long long)result.states);
	ck_assert_str_ne(result.trace, "");
	printf("# fault %u: %s, %llu states\n", fault, result.broken,
		(unsigned long long)result.states);
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

SOUND(stacks_that_are_shared_are_freed_once, sharing)
SOUND(a_stale_reference_reads_a_whole_stack_or_nothing, stale)
SOUND(blocks_that_come_back_have_one_owner, reuse)
SOUND(three_threads_at_the_list_leave_it_whole, aba)
SOUND(threads_that_are_killed_spoil_nothing_for_others, killed_sharing)

BREAKS(without_a_tag_the_list_gives_a_block_to_two, aba, STACK_STORE_MODEL_NO_TAG)
BREAKS(a_hash_that_is_believed_finds_another_stack, stale, STACK_STORE_MODEL_NO_COMPARE)
BREAKS(an_entry_free_before_its_blocks_are_is_freed_twice, stale, STACK_STORE_MODEL_NO_BUSY)
BREAKS(a_count_taken_of_a_free_entry_reads_rubbish, stale, STACK_STORE_MODEL_TAKE_ANY)
BREAKS(a_count_added_blindly_meets_another_state, stale, STACK_STORE_MODEL_ADD_UNSEEN)
BREAKS(an_entry_that_lives_too_early_is_read_half_filled, stale, STACK_STORE_MODEL_EARLY_PUBLISH)

static Suite *stack_store_model_suite(void)
{
	Suite *suite = suite_create("stack_store_model");
	TCase *sound = tcase_create("sound"), *faults = tcase_create("faults");

	tcase_set_timeout(sound, 300);
	tcase_add_test(sound, stacks_that_are_shared_are_freed_once);
	tcase_add_test(sound, a_stale_reference_reads_a_whole_stack_or_nothing);
	tcase_add_test(sound, blocks_that_come_back_have_one_owner);
	tcase_add_test(sound, three_threads_at_the_list_leave_it_whole);
	tcase_add_test(sound, threads_that_are_killed_spoil_nothing_for_others);
	suite_add_tcase(suite, sound);
	tcase_set_timeout(faults, 300);
	tcase_add_test(faults, without_a_tag_the_list_gives_a_block_to_two);
	tcase_add_test(faults, a_hash_that_is_believed_finds_another_stack);
	tcase_add_test(faults, an_entry_free_before_its_blocks_are_is_freed_twice);
	tcase_add_test(faults, a_count_taken_of_a_free_entry_reads_rubbish);
	tcase_add_test(faults, a_count_added_blindly_meets_another_state);
	tcase_add_test(faults, an_entry_that_lives_too_early_is_read_half_filled);
	suite_add_tcase(suite, faults);
	return suite;
}

TAP_MAIN(stack_store_model_suite)
