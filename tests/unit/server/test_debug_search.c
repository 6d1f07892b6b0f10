/* debug_search: what hangs is left behind. The search itself is this file's, and does what the
 * names say. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "server/debug_search.h"
#include "support/tap_main.h"

static uv_loop_t loop;
static struct debug_searches searches;
static sem_t answer; /* of the file system that "hang" waits for */
static int results[64], ends;

static int find(const char *name)
{
	if (strcmp(name, "hang") == 0)
		sem_wait(&answer);
	return *name ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -ENOENT;
}

int debug_file_open(
	const char *root, const struct debug_file_id *id, const char *link, int binary_fd)
{
	(void)root, (void)id, (void)binary_fd;
	return find(link);
}

int debug_file_open_supplement(const char *root, const struct debug_file_id *id, const char *path)
{
	(void)root, (void)id;
	return find(path);
}

static void on_done(void *data, uint32_t file, int fd)
{
	ck_assert_ptr_eq(data, &searches);
	results[file] = fd;
	ends++;
	if (fd >= 0)
		close(fd);
}

static void setup(void)
{
	ends = 0;
	memset(results, 0, sizeof(results));
	ck_assert_int_eq(sem_init(&answer, 0, 0), 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	debug_search_init(&searches, &loop, "/root", on_done, &searches);
}

static void teardown(void)
{
	debug_search_abandon(&searches);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static bool start(uint32_t file, const char *name)
{
	const struct debug_search_request request = {
		.name = name, .file = file, .binary_fd = STDIN_FILENO};
	return debug_search_start(&searches, &request);
}

static void await_ends(int wanted)
{
	while (ends < wanted)
		uv_run(&loop, UV_RUN_ONCE);
}

/* All that run count as hung at once. */
static void lose_patience(void)
{
	searches.limit_ms = 1;
	while (searches.running_count) {
		uv_update_time(&loop);
		debug_search_expire(&searches);
	}
}

static void hang(unsigned count)
{
	searches.limit_ms = 1;
	for (unsigned i = 0; i < count; i++)
		ck_assert(start(i, "hang"));
	lose_patience();
	ck_assert_uint_eq(searches.hung_count, count);
}

static void answer_all(void)
{
	for (int i = 0; i < DEBUG_SEARCH_MAX; i++)
		sem_post(&answer);
}

START_TEST(what_is_found_is_handed_over)
{
	ck_assert(start(1, "there"));
	ck_assert(start(2, ""));
	ck_assert_uint_eq(searches.running_count, 2);
	ck_assert_uint_lt(debug_search_next_ms(&searches), UINT64_MAX);
	await_ends(2);
	ck_assert_int_gt(results[1], 0);
	ck_assert_int_eq(results[2], -ENOENT);
	ck_assert_uint_eq(searches.running_count, 0);
	ck_assert_uint_eq(debug_search_next_ms(&searches), UINT64_MAX);
}
END_TEST

START_TEST(a_search_that_hangs_is_told_once_and_left_behind)
{
	hang(1);
	ck_assert_int_eq(results[0], -ETIMEDOUT);
	ck_assert(start(1, "there"));
	await_ends(2);
	ck_assert_int_gt(results[1], 0);
	answer_all();
	while (searches.hung_count)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(ends, 2);
	ck_assert_int_eq(results[0], -ETIMEDOUT);
}
END_TEST

START_TEST(when_several_hang_only_the_root_is_searched)
{
	hang(DEBUG_SEARCH_HUNG);
	searches.limit_ms = DEBUG_SEARCH_MS;
	answer_all(); /* libuv's default pool has four threads */
	ck_assert(start(20, "there"));
	await_ends(DEBUG_SEARCH_HUNG + 1);
	ck_assert_int_eq(results[20], -ENOENT); /* asked without its name */
}
END_TEST

START_TEST(no_more_than_the_maximum_hang)
{
	hang(DEBUG_SEARCH_MAX);
	ck_assert(!start(20, "there"));
	answer_all();
	while (searches.hung_count)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert(start(20, "there"));
	await_ends(DEBUG_SEARCH_MAX + 1);
}
END_TEST

START_TEST(abandoned_searches_tell_nobody)
{
	hang(2);
	ck_assert(start(5, "there"));
	int before = ends;
	debug_search_abandon(&searches);
	answer_all();
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(ends, before);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("debug_search");
	TCase *t = tcase_create("debug_search");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_found_is_handed_over);
	tcase_add_test(t, a_search_that_hangs_is_told_once_and_left_behind);
	tcase_add_test(t, when_several_hang_only_the_root_is_searched);
	tcase_add_test(t, no_more_than_the_maximum_hang);
	tcase_add_test(t, abandoned_searches_tell_nobody);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
