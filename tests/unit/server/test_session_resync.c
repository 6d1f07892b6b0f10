/* What a worker tells again, and what is lost and folded meanwhile. */
#include "config.h"
#include <string.h>
#include "model/stack_table.h"
#include "resync_fixture.h"

static uint32_t asked(void)
{
	/* relaxed: the daemon is this thread */
	return atomic_load_explicit(&segment.header->control.resync, memory_order_relaxed);
}

static void await_epoch(uint32_t epoch)
{
	while (asked() != epoch)
		uv_run(&loop, UV_RUN_ONCE);
}

START_TEST(a_session_from_the_start_asks_for_nothing)
{
	attach();
	write_birth(1, 0);
	catch_up();
	ck_assert_uint_eq(asked(), 0);
	ck_assert(!quality().unconfirmed);
}
END_TEST

START_TEST(what_an_earlier_daemon_took_is_told_again)
{
	drained_before();
	attach();
	ck_assert(quality().unconfirmed);
	await_epoch(1);
	for (uint64_t id = 1; id <= 10; id++)
		write_live(id, (uint32_t)(id % 4), 1);
	write_end(3, 1, 10);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 10);
	struct snapshot_quality now = quality();
	ck_assert(!now.from_start && !now.told_again);
	ck_assert_uint_gt(now.allocated_since_unix_ns, 0);
	ck_assert_uint_eq(resync().confirmations, 1);
}
END_TEST

START_TEST(a_ring_that_makes_no_sense_was_not_read_by_an_earlier_daemon)
{
	atomic_store(&segment.rings[0].head, UINT64_C(1) << 40);
	attach();
	ck_assert(quality().from_start);
}
END_TEST

START_TEST(the_dead_that_were_not_told_of_are_swept)
{
	attach();
	for (uint64_t id = 1; id <= 10; id++)
		write_birth(id, 0);
	catch_up();
	set(&segment.header->counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN], 4);
	ck_assert(quality().unconfirmed);
	ck_assert_uint_eq(quality().lost_deaths, 4);
	await_epoch(1);
	for (uint64_t id = 1; id <= 6; id++)
		write_live(id, 1, 1);
	write_birth(11, 2);
	write_death(2, 3);
	write_end(0, 1, 6);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 6);
	ck_assert_uint_eq(totals().births, 11);
	ck_assert_uint_eq(totals().inferred_deaths, 4);
	ck_assert_uint_eq(totals().duplicate_births, 0);
	ck_assert_uint_eq(quality().lost_deaths, 0);
	ck_assert(quality().from_start);
}
END_TEST

START_TEST(a_live_of_a_known_id_is_not_counted_again)
{
	attach();
	write_birth(1, 0);
	catch_up();
	struct session_numbers before, after;
	session_numbers(session, &before);
	set(&segment.header->counters.loss_count[WIRE_LOSS_BIRTH_NO_RING], 1);
	await_epoch(1);
	write_live(1, 0, 1);
	put(0, record, fake_segment_live(record, 2, 0, 1));
	write_end(0, 1, 2);
	await_confirmed();
	session_numbers(session, &after);
	ck_assert_uint_eq(after.feed.births, before.feed.births + 1);
	ck_assert_uint_eq(after.feed.frames, before.feed.frames);
}
END_TEST

static struct sample_feed_stats feed(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers.feed;
}

/* The worker has lost a death, and tells ids first ... last again. */
static void tell_again(uint32_t epoch, uint64_t first, uint64_t last)
{
	set(&segment.header->counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN], epoch);
	await_epoch(epoch);
	for (uint64_t id = first; id <= last; id++)
		write_live(id, (uint32_t)(id % 4), epoch);
	write_end(3, epoch, (uint32_t)(last - first + 1));
	await_confirmed();
}

START_TEST(a_live_that_is_taken_back_is_in_no_count)
{
	drained_before();
	attach();
	await_epoch(1);
	for (unsigned i = 0; i < 3; i++) {
		fake_segment_live(record, 5 + i, 0, 1);
		struct wire_birth *live = (struct wire_birth *)record;
		live->record.flags = i == 0 ? WIRE_STACK_NOT_KEPT : 0;
		live->stop = WIRE_STOP_MAX;
		live->guessed = 3;
		put(i, record, live->record.size);
		put(i, record, fake_segment_take_back(record, 5 + i, 1));
	}
	write_end(3, 1, 3);
	await_confirmed();
	struct sample_feed_stats stats = feed(), none = {0};
	ck_assert_uint_eq(totals().taken_back, 3);
	ck_assert_uint_eq(stats.births, 0);
	ck_assert_uint_eq(stats.guessed + stats.not_kept, 0);
	ck_assert_mem_eq(stats.by_stop, none.by_stop, sizeof none.by_stop);
}
END_TEST

START_TEST(a_birth_and_its_live_are_one_sample_whichever_comes_first)
{
	drained_before();
	attach();
	await_epoch(1);
	write_live(1, 0, 1);
	write_birth(1, 0);
	write_birth(2, 0);
	write_live(2, 0, 1);
	write_end(3, 1, 2);
	await_confirmed();
	ck_assert_uint_eq(feed().births, 2);
	ck_assert_uint_eq(feed().by_stop[WIRE_STOP_END], 2);
}
END_TEST

START_TEST(what_is_folded_and_refused_is_one_sample)
{
	limits.max_live = 10;
	attach();
	for (uint64_t id = 1; id <= 15; id++)
		write_birth(id, 0);
	catch_up();
	ck_assert_uint_eq(quality().folded_samples, 5);
	tell_again(1, 1, 15);
	ck_assert_uint_eq(quality().folded_samples, 5);
	ck_assert_uint_eq(feed().refused_lives, 5);
	ck_assert_uint_eq(feed().unheard_lives, 0);
	ck_assert_uint_eq(feed().births, 15);
	ck_assert_uint_eq(feed().by_stop[WIRE_STOP_END], 15);
	/* Room for three of them. */
	for (uint64_t id = 1; id <= 3; id++)
		write_death(id, 0);
	catch_up();
	tell_again(2, 4, 15);
	ck_assert_uint_eq(totals().live, 10);
	ck_assert_uint_eq(quality().folded_samples, 2);
	ck_assert_uint_eq(feed().refused_lives, 2);
	ck_assert_uint_eq(feed().births, 15);
	ck_assert_uint_eq(totals().births, 15);
}
END_TEST

START_TEST(what_is_refused_and_was_never_heard_of_counts_and_has_no_stack)
{
	limits.max_live = 10;
	drained_before();
	attach();
	await_epoch(1);
	for (uint64_t id = 1; id <= 15; id++)
		write_live(id, (uint32_t)(id % 4), 1);
	write_end(3, 1, 15);
	await_confirmed();
	ck_assert_uint_eq(quality().folded_samples, 5);
	ck_assert_uint_eq(feed().births, 10);
	ck_assert_uint_eq(feed().frames, 40);
	ck_assert_uint_eq(stack_table_count(session_stacks(session)), 11);
}
END_TEST

START_TEST(what_was_folded_while_frozen_is_told_again_and_counts_once)
{
	attach();
	session_freeze(session, true);
	for (uint64_t id = 1; id <= 8; id++)
		write_birth(id, 0);
	catch_up();
	ck_assert_uint_eq(quality().folded_samples, 8);
	tell_again(1, 1, 8);
	ck_assert_uint_eq(quality().folded_samples, 8);
	ck_assert_uint_eq(feed().refused_lives, 8);
	session_freeze(session, false);
	tell_again(2, 1, 6); /* the others have died in silence */
	ck_assert_uint_eq(totals().live, 6);
	ck_assert_uint_eq(quality().folded_samples, 2);
	ck_assert_double_gt(quality().folded_bytes, 0);
	ck_assert_uint_eq(feed().births, 8);
}
END_TEST

START_TEST(a_frozen_copy_that_is_short_is_not_asked_about)
{
	attach();
	catch_up();
	session_freeze(session, true);
	write_birth(1, 0);
	count_live(1, 1);
	for (int i = 0; i < 10; i++)
		catch_up();
	ck_assert_uint_eq(resync().requests, 0);
	ck_assert(!quality().unconfirmed);
}
END_TEST

/* The copy is right at once, and a session's end or a snapshot does not wait for its memory. */
START_TEST(a_sweep_is_over_at_once_and_its_memory_follows)
{
	size_t size = sizeof(struct wire_birth);
	uint64_t ids = 3 * (48u << 10) / size * 20;
	attach();
	for (uint64_t id = 1; id <= ids; id++) {
		put((uint32_t)(id % 4), record, fake_segment_birth(record, id, 0));
		if (id % 1000 == 0)
			catch_up();
	}
	catch_up();
	size_t full = session_bytes(session);
	tell_again(1, 1, 10);
	ck_assert_uint_eq(totals().live, 10);
	ck_assert_uint_eq(totals().inferred_deaths, ids - 10);
	ck_assert_uint_gt(session_bytes(session), full / 2);
	while (session_bytes(session) > full / 10)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(totals().live, 10);
}
END_TEST

START_TEST(a_stack_that_was_not_kept_is_a_site_of_its_own)
{
	drained_before();
	attach();
	await_epoch(1);
	put(0, record, fake_segment_live(record, 2, 0, 1));
	size_t size = fake_segment_live(record, 3, 0, 1);
	((struct wire_birth *)record)->record.flags = WIRE_STACK_NOT_KEPT;
	put(0, record, size);
	write_end(0, 1, 2);
	await_confirmed();
	const struct stack_table *stacks = session_stacks(session);
	unsigned found = 0;
	for (uint32_t i = 0; i < stack_table_count(stacks); i++) {
		struct stack_view view = stack_table_get(stacks, i);
		found += view.frame_count == 1 && view.frames[0].module == STACK_MODULE_NOT_KEPT;
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_eq(quality().stacks_whole + quality().stacks_stopped, 1);
}
END_TEST

START_TEST(a_forked_child_is_asked_for_what_it_inherited)
{
	segment.header->flags |= WIRE_FLAG_FORKED;
	attach();
	ck_assert_msg(strstr(quality().unconfirmed_reason, "it was forked") != NULL, "%s",
		quality().unconfirmed_reason);
	await_epoch(1);
	write_end(0, 1, 0);
	await_confirmed();
}
END_TEST

START_TEST(the_next_daemon_asks_for_the_next_epoch)
{
	atomic_store_explicit(&segment.header->control.resync, 8, memory_order_relaxed);
	drained_before();
	write_live(1, 0, 8);
	write_end(0, 8, 1);
	attach();
	await_epoch(9);
	ck_assert(quality().unconfirmed);
	write_end(0, 9, 0);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_resync");
	TCase *t = tcase_create("session_resync");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_from_the_start_asks_for_nothing);
	tcase_add_test(t, what_an_earlier_daemon_took_is_told_again);
	tcase_add_test(t, a_ring_that_makes_no_sense_was_not_read_by_an_earlier_daemon);
	tcase_add_test(t, the_dead_that_were_not_told_of_are_swept);
	tcase_add_test(t, a_live_of_a_known_id_is_not_counted_again);
	tcase_add_test(t, a_live_that_is_taken_back_is_in_no_count);
	tcase_add_test(t, a_birth_and_its_live_are_one_sample_whichever_comes_first);
	tcase_add_test(t, what_is_folded_and_refused_is_one_sample);
	tcase_add_test(t, what_is_refused_and_was_never_heard_of_counts_and_has_no_stack);
	tcase_add_test(t, what_was_folded_while_frozen_is_told_again_and_counts_once);
	tcase_add_test(t, a_frozen_copy_that_is_short_is_not_asked_about);
	tcase_add_test(t, a_sweep_is_over_at_once_and_its_memory_follows);
	tcase_add_test(t, a_stack_that_was_not_kept_is_a_site_of_its_own);
	tcase_add_test(t, a_forked_child_is_asked_for_what_it_inherited);
	tcase_add_test(t, the_next_daemon_asks_for_the_next_epoch);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
