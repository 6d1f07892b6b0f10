/* Sessions on a loop of the test's own, with segments that the test writes itself, as if it were
 * the worker. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>
#include "model/heap_model.h"
#include "server/drain_scheduler.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_table.h"
#include "support/adopt.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct session_table *table;
static struct options_limits limits;
static const struct session_means means;
static struct fake_segment segment;

static void setup(void)
{
	limits = options_default_limits;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
	fake_segment_init(&segment, 4, 1u << 20, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
}

static void teardown(void)
{
	session_table_free(table);
	drain_scheduler_free(scheduler);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_segment_deinit(&segment);
}

static void write_birth(uint64_t id, uint32_t ring)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	fake_segment_append(&segment, ring, record, fake_segment_birth(record, id, 4));
}

static void write_death(uint64_t id, uint32_t ring)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	fake_segment_append(&segment, ring, record, fake_segment_death(record, id));
}

static void set_flag(void *flag)
{
	*(bool *)flag = true;
}

static struct session *catch_up(void)
{
	struct session *session = session_table_find(table, getpid());
	bool done = false;
	ck_assert_ptr_nonnull(session);
	ck_assert(session_table_catch_up(table, session, set_flag, &done));
	ck_assert(!done); /* never from inside */
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
	return session;
}

static struct heap_totals totals_of(const struct session *session)
{
	struct heap_totals totals;
	heap_model_totals(session_heap(session), &totals);
	return totals;
}

START_TEST(all_that_was_written_before_a_request_is_there_after_it)
{
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	for (uint64_t id = 1; id <= 100; id++)
		write_birth(id, (uint32_t)(id % 4));
	ck_assert_uint_eq(totals_of(catch_up()).live, 100);
	for (uint64_t id = 1; id <= 40; id++)
		write_death(id, (uint32_t)((id + 1) % 4));
	ck_assert_uint_eq(totals_of(catch_up()).live, 60);
}
END_TEST

START_TEST(full_rings_are_taken_in_several_turns)
{
	/* Four rings of 1 MiB are more than one turn takes. */
	size_t size = sizeof(struct wire_birth) + 4 * sizeof(uint64_t);
	uint64_t per_ring = (1u << 20) / size, id = 1;
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	for (uint32_t ring = 0; ring < 4; ring++)
		for (uint64_t i = 0; i < per_ring; i++)
			write_birth(id++, ring);
	ck_assert_uint_eq(totals_of(catch_up()).live, 4 * per_ring);
	struct drain_scheduler_stats stats;
	drain_scheduler_stats(scheduler, &stats);
	ck_assert_uint_gt(stats.turns, 4);
	ck_assert_uint_eq(stats.bytes, 4 * per_ring * size);
}
END_TEST

START_TEST(a_segment_is_attached_once)
{
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), -EEXIST);
	ck_assert_int_eq(adopt_process(table, getppid(), &segment), -EPERM);
	struct session_table_stats stats;
	session_table_stats(table, &stats);
	ck_assert_uint_eq(stats.attached, 1);
}
END_TEST

START_TEST(a_segment_that_another_daemon_reads_is_left_alone)
{
	ck_assert_int_eq(flock(segment.fd, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), -EBUSY);
	ck_assert_ptr_null(session_table_find(table, getpid()));
	ck_assert_int_eq(flock(segment.fd, LOCK_UN), 0);
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	ck_assert_int_eq(flock(segment.fd, LOCK_EX | LOCK_NB), -1);
}
END_TEST

/* Opening a leased file waits for its holder, who need not care, for up to 45 seconds. Other leases
 * than this kind cannot be had on a memfd. */
static bool lease_segment(void)
{
	ck_assert_ptr_ne(signal(SIGIO, SIG_IGN), SIG_ERR); /* what tells the holder */
	if (fcntl(segment.fd, F_SETLEASE, F_RDLCK) == 0)
		return true;
	printf("# skipped: this kernel gives no lease on a memfd (%s)\n", strerror(errno));
	return false;
}

START_TEST(a_lease_on_the_segment_does_not_stall_who_takes_it)
{
	if (!lease_segment())
		return;
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), -EAGAIN);
	ck_assert_ptr_null(session_table_find(table, getpid()));
	ck_assert_int_eq(fcntl(segment.fd, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
}
END_TEST

START_TEST(a_lease_on_the_segment_does_not_stall_who_pulls_it)
{
	struct segment_map *map;
	const char *why = "";
	if (!lease_segment())
		return;
	int dir_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[16];
	snprintf(name, sizeof name, "%d", segment.fd);
	ck_assert_int_eq(segment_map_open(&map, dir_fd, name, &why), -EAGAIN);
	ck_assert_int_eq(fcntl(segment.fd, F_SETLEASE, F_UNLCK), 0);
	ck_assert_int_eq(segment_map_open(&map, dir_fd, name, &why), 0);
	segment_map_free(map);
	close(dir_fd);
}
END_TEST

struct greedy {
	struct session *session;
	unsigned rounds;
	bool stop;
};

/* Each round is asked for by the end of the one before. */
static void ask_for_more(void *data)
{
	struct greedy *greedy = data;
	if (++greedy->rounds < 10000 && !greedy->stop)
		session_table_catch_up(table, greedy->session, ask_for_more, greedy);
}

static void on_message(uv_async_t *message)
{
	*(bool *)message->data = true;
}

START_TEST(others_get_their_turn_while_rounds_are_due_at_once_for_ever)
{
	struct greedy greedy = {0};
	bool heard = false;
	uv_async_t message = {.data = &heard};
	ck_assert_int_eq(uv_async_init(&loop, &message, on_message), 0);
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	greedy.session = session_table_find(table, getpid());
	ask_for_more(&greedy);
	while (greedy.rounds < 10)
		uv_run(&loop, UV_RUN_ONCE);
	uv_async_send(&message);
	while (!heard)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_lt(greedy.rounds, 10000);
	greedy.stop = true;
	uv_close((uv_handle_t *)&message, NULL);
	catch_up();
}
END_TEST

START_TEST(an_inherited_copy_is_not_the_childs)
{
	segment.header->pid_hint = (uint32_t)getppid();
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), -ECHILD);
	segment.header->pid_hint = (uint32_t)getpid();
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
}
END_TEST

START_TEST(a_new_segment_of_the_same_process_supersedes)
{
	struct fake_segment next;
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	write_birth(1, 0);
	fake_segment_init(&next, 1, 64u << 10, 0);
	flock(next.fd, LOCK_UN);
	fake_segment_seal(&next, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(adopt_process(table, getpid(), &next), 0);
	ck_assert_uint_eq(totals_of(catch_up()).live, 0);
	struct session_table_stats stats;
	do {
		uv_run(&loop, UV_RUN_ONCE);
		session_table_stats(table, &stats);
	} while (stats.exited == 0);
	ck_assert_uint_eq(stats.superseded, 1);
	ck_assert_uint_eq(stats.attached, 1);
	/* The old segment can be had by others again. */
	ck_assert_int_eq(flock(segment.fd, LOCK_EX | LOCK_NB), 0);
	fake_segment_deinit(&next);
}
END_TEST

START_TEST(whoever_waits_is_called_when_the_table_goes)
{
	bool done = false;
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	struct session *session = session_ref(session_table_find(table, getpid()));
	ck_assert(session_table_catch_up(table, session, set_flag, &done));
	session_table_free(table);
	ck_assert(done);
	session_unref(session);
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
}
END_TEST

START_TEST(the_end_of_a_process_ends_its_session)
{
	int go[2];
	ck_assert_int_eq(pipe(go), 0);
	pid_t child = fork();
	if (child == 0) {
		char byte;
		close(go[1]);
		_exit(read(go[0], &byte, 1) != 0);
	}
	close(go[0]);
	segment.header->pid_hint = (uint32_t)child;
	ck_assert_int_eq(adopt_process(table, child, &segment), 0);
	write_birth(1, 2);
	close(go[1]);
	while (session_facts(session_table_find(table, child))->state != SESSION_EXITED)
		uv_run(&loop, UV_RUN_ONCE);
	struct session *session = session_table_find(table, child);
	ck_assert_uint_eq(totals_of(session).live, 1);
	ck_assert_uint_gt(session_facts(session)->ended_ns, 0);
	bool done = false;
	ck_assert(!session_table_catch_up(table, session, set_flag, &done));
	/* The same segment, found again by whoever was late. */
	ck_assert_int_eq(adopt_process(table, child, &segment), -EEXIST);
	ck_assert_ptr_eq(session_table_find(table, child), session);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

static uint64_t folded_samples(struct session *session)
{
	struct snapshot_quality quality;
	session_quality(session, &quality);
	return quality.folded_samples;
}

static bool frozen(void)
{
	struct session_table_stats stats;
	session_table_stats(table, &stats);
	return stats.frozen;
}

START_TEST(at_the_bound_of_memory_the_largest_stop_growing)
{
	limits.max_memory = 1u << 20;
	ck_assert_int_eq(adopt_process(table, getpid(), &segment), 0);
	struct session *session = session_table_find(table, getpid());
	uint64_t id = 1;
	while (!frozen()) {
		for (int i = 0; i < 5000 && session_bytes(session) < 3u << 19; i++, id++)
			write_birth(id, (uint32_t)(id % 4));
		catch_up();
	}
	uint64_t live = totals_of(session).live, folded = folded_samples(session);
	size_t bytes = session_bytes(session);
	for (uint64_t i = 0; i < 1000; i++, id++)
		write_birth(id, (uint32_t)(id % 4));
	catch_up();
	ck_assert_uint_eq(totals_of(session).live, live);
	ck_assert_uint_eq(folded_samples(session), folded + 1000);
	ck_assert_uint_le(session_bytes(session), bytes);
	/* Deaths make room again. */
	for (id = 1; id <= 1000; id++)
		write_death(id, (uint32_t)(id % 4));
	catch_up();
	ck_assert_uint_eq(totals_of(session).live, live - 1000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_table");
	TCase *t = tcase_create("session_table");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_that_was_written_before_a_request_is_there_after_it);
	tcase_add_test(t, full_rings_are_taken_in_several_turns);
	tcase_add_test(t, a_segment_is_attached_once);
	tcase_add_test(t, a_segment_that_another_daemon_reads_is_left_alone);
	tcase_add_test(t, a_lease_on_the_segment_does_not_stall_who_takes_it);
	tcase_add_test(t, a_lease_on_the_segment_does_not_stall_who_pulls_it);
	tcase_add_test(t, others_get_their_turn_while_rounds_are_due_at_once_for_ever);
	tcase_add_test(t, an_inherited_copy_is_not_the_childs);
	tcase_add_test(t, a_new_segment_of_the_same_process_supersedes);
	tcase_add_test(t, whoever_waits_is_called_when_the_table_goes);
	tcase_add_test(t, the_end_of_a_process_ends_its_session);
	tcase_add_test(t, at_the_bound_of_memory_the_largest_stop_growing);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
