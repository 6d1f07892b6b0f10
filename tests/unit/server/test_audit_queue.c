/* audit_queue: whose turn it is, who waits for whom, and for how long, on a clock of the test's own. */
#include "config.h"
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/alloc.h"
#include "server/audit_queue.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

#define WORKERS	  24
#define MS	  UINT64_C(1000000)
#define MINUTE_MS UINT64_C(60000)

enum { ALICE = 1000, BOB, CAROL };

static struct audit_queue queue;
static struct fake_segment segments[WORKERS];
static struct session *workers[WORKERS];
static uint64_t now;

static void set_user(unsigned worker, uid_t uid)
{
	((struct session_facts *)session_facts(workers[worker]))->uid = uid;
}

static void make_worker(unsigned worker)
{
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	fake_segment_init(&segments[worker], 1, 1u << 16, 0);
	flock(segments[worker].fd, LOCK_UN);
	fake_segment_seal(&segments[worker], FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(process_handle_open(&claim.process, getpid(), -1), 0);
	ck_assert_int_eq(
		segment_map_new(&claim.segment, fake_segment_dup(&segments[worker]), NULL), 0);
	ck_assert_int_eq(session_new(&workers[worker], &claim, &options_default_limits,
				 &(struct session_means){0}),
		0);
}

static void setup(void)
{
	audit_queue_init(&queue);
	for (unsigned i = 0; i < WORKERS; i++)
		make_worker(i);
	now = 1000000;
}

static void teardown(void)
{
	audit_queue_deinit(&queue);
	for (unsigned i = 0; i < WORKERS; i++) {
		session_unref(workers[i]);
		fake_segment_deinit(&segments[i]);
	}
}

static const struct session_audit_stats *stats_of(unsigned worker)
{
	return &session_audit(workers[worker])->stats;
}

static bool add(unsigned worker)
{
	struct session_audit_item *item = alloc_zeroed(1, sizeof *item);
	session_audit(workers[worker])->stats.pending++;
	if (audit_queue_add(&queue, workers[worker], item, now))
		return true;
	session_audit(workers[worker])->stats.pending--;
	session_audit_free_item(item);
	return false;
}

static uint32_t add_many(unsigned worker, uint32_t count)
{
	uint32_t added = 0;
	while (added < count && add(worker))
		added++;
	return added;
}

static void await_turn(void)
{
	uint64_t due = audit_queue_due_ms(&queue);
	now = now < due ? due : now;
}

/* The user whose turn it is, on whose audit the auditor spends so long; 0: nobody's. */
static uid_t serve(uint64_t took_ns, bool failed)
{
	struct audit_job *job = audit_queue_take(&queue, now);
	if (job == NULL)
		return 0;
	uid_t uid = job->uid;
	audit_queue_give_up(job, SESSION_AUDIT_HELPER);
	now += took_ns / MS;
	audit_queue_charge(&queue, uid, now, took_ns, failed);
	return uid;
}

START_TEST(users_take_turns_of_a_few_audits)
{
	unsigned changes = 0, served[2] = {0};
	set_user(0, ALICE);
	set_user(1, BOB);
	ck_assert_uint_eq(add_many(0, 16), 16);
	ck_assert_uint_eq(add_many(1, 4), 4);
	for (uid_t before = 0, uid; (uid = serve(0, false)) != 0; before = uid) {
		changes += uid != before;
		served[uid - ALICE]++;
		/* Bob's four come after one turn of Alice's, not after all of hers. */
		if (uid == BOB)
			ck_assert_uint_eq(served[0], 8);
	}
	ck_assert_uint_eq(served[0], 16);
	ck_assert_uint_eq(served[1], 4);
	ck_assert_uint_eq(changes, 3);
}
END_TEST

START_TEST(one_users_failures_delay_nobody_else)
{
	set_user(0, ALICE);
	set_user(1, BOB);
	add_many(0, 16);
	/* Alone, Alice makes it fail as often as she can for an hour. */
	for (uint64_t end = now + 60 * MINUTE_MS; now < end; now++) {
		if (queue.count < 8)
			add_many(0, 8);
		serve(5000 * MS, true);
	}
	add_many(1, 2);
	ck_assert_uint_le(audit_queue_due_ms(&queue), now + 1000);
	await_turn();
	ck_assert_uint_eq(serve(1 * MS, false), BOB);
	await_turn();
	ck_assert_uint_eq(serve(1 * MS, false), BOB);
	/* Hers goes on waiting. */
	ck_assert_uint_ge(audit_queue_due_ms(&queue), now + 10000);
}
END_TEST

static uint64_t pause_after_failure(void)
{
	add(0);
	await_turn();
	ck_assert_uint_eq(serve(0, true), ALICE);
	add(0);
	return audit_queue_due_ms(&queue) - now;
}

START_TEST(failures_are_forgotten_by_time_and_not_by_a_verdict)
{
	set_user(0, ALICE);
	ck_assert_uint_eq(pause_after_failure(), 100);
	ck_assert_uint_eq(pause_after_failure(), 200);
	ck_assert_uint_eq(pause_after_failure(), 400);
	for (int i = 0; i < 8; i++) {
		add(0);
		await_turn();
		serve(0, false);
	}
	ck_assert_uint_eq(pause_after_failure(), 800);
	now += 10 * MINUTE_MS;
	ck_assert_uint_eq(pause_after_failure(), 400);
	now += 24 * 60 * MINUTE_MS;
	ck_assert_uint_eq(pause_after_failure(), 100);
	for (int i = 0; i < 20; i++)
		ck_assert_uint_le(pause_after_failure(), 5 * MINUTE_MS);
}
END_TEST

START_TEST(each_user_pays_nine_times_what_theirs_took_and_others_wait_a_second_at_most)
{
	set_user(0, ALICE);
	set_user(1, BOB);
	add(0);
	ck_assert_uint_eq(serve(10 * MS, false), ALICE);
	add(1);
	ck_assert_uint_eq(audit_queue_due_ms(&queue), now + 90);
	now += 90;
	ck_assert_uint_eq(serve(0, false), BOB);
	add(0);
	ck_assert_uint_eq(serve(900 * MS, false), ALICE);
	add(0);
	ck_assert_uint_eq(audit_queue_due_ms(&queue), now + 8100);
	add(1);
	ck_assert_uint_eq(audit_queue_due_ms(&queue), now + 1000);
}
END_TEST

START_TEST(what_is_slow_counts_as_failed)
{
	set_user(0, ALICE);
	for (int i = 0; i < 12; i++) {
		add(0);
		await_turn();
		ck_assert_uint_eq(serve(1000 * MS, false), ALICE);
	}
	add(0);
	ck_assert_uint_ge(audit_queue_due_ms(&queue), now + 3 * MINUTE_MS);
}
END_TEST

START_TEST(who_fills_the_queue_makes_room_for_the_others)
{
	for (unsigned i = 0; i < WORKERS; i++)
		set_user(i, i < 8 ? ALICE : i < 16 ? BOB : CAROL);
	for (unsigned i = 0; i < 8; i++)
		add_many(i, 100);
	ck_assert_uint_eq(queue.count, AUDIT_QUEUE_PER_USER);
	for (unsigned i = 8; i < 16; i++)
		add_many(i, 100);
	ck_assert_uint_eq(queue.count, AUDIT_QUEUE_ITEMS);
	ck_assert(!add(0));
	ck_assert_uint_eq(add_many(16, 100), AUDIT_QUEUE_PER_WORKER);
	ck_assert_uint_eq(queue.count, AUDIT_QUEUE_ITEMS);
	uint64_t lost = 0;
	for (unsigned i = 0; i < 16; i++)
		lost += stats_of(i)->unjudged[SESSION_AUDIT_BUSY];
	ck_assert_uint_eq(lost, AUDIT_QUEUE_PER_WORKER);
	ck_assert_uint_eq(stats_of(16)->unjudged[SESSION_AUDIT_BUSY], 0);
	/* All have about as many now, and take nothing from each other. */
	add_many(17, 100);
	ck_assert(!add(0));
	ck_assert(!add(8));
	ck_assert(!add(17));
}
END_TEST

START_TEST(a_session_that_is_forgotten_takes_its_own_along)
{
	for (unsigned i = 0; i < 3; i++) {
		set_user(i, i < 2 ? ALICE : BOB);
		add_many(i, 5);
	}
	audit_queue_forget(&queue, workers[0]);
	ck_assert_uint_eq(queue.count, 10);
	ck_assert_uint_eq(stats_of(0)->pending, 0);
	ck_assert_uint_eq(stats_of(1)->pending, 5);
	ck_assert_uint_eq(stats_of(2)->pending, 5);
	audit_queue_forget(&queue, workers[2]);
	for (int i = 0; i < 5; i++)
		ck_assert_uint_eq(serve(0, false), ALICE);
	ck_assert_uint_eq(serve(0, false), 0);
	ck_assert_uint_eq(stats_of(1)->pending, 0);
}
END_TEST

START_TEST(ever_new_users_are_forgotten_for_the_cheapest)
{
	set_user(0, ALICE);
	pause_after_failure();
	for (int i = 0; i < 5; i++)
		pause_after_failure();
	uint64_t due = audit_queue_due_ms(&queue);
	audit_queue_forget(&queue, workers[0]);
	for (uid_t uid = 2000; uid < 2000 + 10 * AUDIT_QUEUE_USERS; uid++)
		audit_queue_charge(&queue, uid, now, 0, true);
	ck_assert_uint_le(queue.user_count, AUDIT_QUEUE_USERS);
	add(0);
	ck_assert_uint_eq(audit_queue_due_ms(&queue), due);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("audit_queue");
	TCase *t = tcase_create("audit_queue");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, users_take_turns_of_a_few_audits);
	tcase_add_test(t, one_users_failures_delay_nobody_else);
	tcase_add_test(t, failures_are_forgotten_by_time_and_not_by_a_verdict);
	tcase_add_test(
		t, each_user_pays_nine_times_what_theirs_took_and_others_wait_a_second_at_most);
	tcase_add_test(t, what_is_slow_counts_as_failed);
	tcase_add_test(t, who_fills_the_queue_makes_room_for_the_others);
	tcase_add_test(t, a_session_that_is_forgotten_takes_its_own_along);
	tcase_add_test(t, ever_new_users_are_forgotten_for_the_cheapest);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
