/* The guard: nested hooks are turned away, abandoned ones are not waited for. */
#include <setjmp.h>
#include "reentry_guard.h"
#include "support/tap_main.h"

static struct thread_state state;
static jmp_buf out;

static __attribute__((noinline)) int nested_enters(void)
{
	volatile char frame[256];

	frame[0] = 0;
	return reentry_guard_enter(&state) + frame[0];
}

static __attribute__((noinline)) void enter_and_leave_by_longjmp(void)
{
	volatile char frame[4096];

	frame[0] = 0;
	ck_assert(reentry_guard_enter(&state));
	if (frame[0] == 0)
		longjmp(out, 1);
}

START_TEST(a_nested_hook_is_turned_away_until_the_outer_one_leaves)
{
	state = (struct thread_state){0};
	ck_assert(reentry_guard_enter(&state));
	ck_assert(!nested_enters());
	ck_assert(!nested_enters());
	reentry_guard_leave(&state);
	ck_assert(nested_enters());
}
END_TEST

START_TEST(a_hook_above_an_abandoned_one_finds_the_guard_void)
{
	state = (struct thread_state){0};
	if (setjmp(out) == 0)
		enter_and_leave_by_longjmp();
	ck_assert_uint_ne(state.guard_sp, 0);
	ck_assert(nested_enters()); /* its frame is smaller, hence above */
}
END_TEST

START_TEST(deeper_hooks_get_past_an_abandoned_one_after_some_refusals)
{
	int refused = 0;

	state = (struct thread_state){0};
	ck_assert(reentry_guard_enter(&state)); /* and never leaves */
	while (!nested_enters())
		refused++;
	ck_assert_int_eq(refused, REENTRY_GUARD_PATIENCE);
	reentry_guard_leave(&state);
	ck_assert_uint_eq(state.guard_sp, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("reentry_guard");
	TCase *guard = tcase_create("guard");

	tcase_add_test(guard, a_nested_hook_is_turned_away_until_the_outer_one_leaves);
	tcase_add_test(guard, a_hook_above_an_abandoned_one_finds_the_guard_void);
	tcase_add_test(guard, deeper_hooks_get_past_an_abandoned_one_after_some_refusals);
	suite_add_tcase(suite, guard);
	return suite;
}

TAP_MAIN(make_suite)
