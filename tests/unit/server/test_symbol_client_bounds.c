/* How many descriptors, files, names and queries are kept. */
#define _GNU_SOURCE
#include <sched.h>
#include "symbol_client_fixture.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Another thread closes, so that no file system makes this one wait. */
static void await_closed(int fd)
{
	while (is_open(fd))
		sched_yield();
}

START_TEST(descriptors_are_taken_over_and_given_back_when_idle)
{
	const struct symbol_client_options options = {.idle_ms = 100};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	int first = memfd_create("word", MFD_CLOEXEC);
	ck_assert_int_eq(write(first, "opens", 5), 5);
	struct symbol_file identity = identity_of(first);
	int second = fcntl(first, F_DUPFD_CLOEXEC, 0), third = fcntl(first, F_DUPFD_CLOEXEC, 0);
	uint32_t file = symbol_client_file(client, &identity, first);
	ck_assert_uint_eq(symbol_client_file(client, &identity, second), file);
	await_closed(second);
	ck_assert(is_open(first));
	ck_assert_uint_eq(symbol_client_find(client, &identity), file);
	resolve_one(file, 1);
	while (is_open(first))
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(stats().helper_pid, 0);
	ck_assert_uint_eq(symbol_client_find(client, &identity), 0);
	assert_named(file, 1, "opened 1"); /* answers stay */
	resolve_one(file, 2);
	assert_state(file, 2, 0);
	ck_assert_uint_eq(symbol_client_file(client, &identity, third), file);
	resolve_one(file, 2);
	assert_named(file, 2, "opened 1");
	ck_assert_uint_eq(stats().helper_starts, 2);
}
END_TEST

START_TEST(more_descriptors_than_allowed_close_the_oldest_unused_one)
{
	struct symbol_file first = {0};
	use_fake();
	for (unsigned i = 0; i <= SYMBOL_CLIENT_DESCRIPTORS; i++) {
		struct symbol_file identity = {.device = 1, .inode = 1 + i};
		if (i == 0)
			first = identity;
		int fd = memfd_create("word", MFD_CLOEXEC);
		ck_assert_int_eq(write(fd, "answer", 6), 6);
		uint32_t file = symbol_client_file(client, &identity, fd);
		ck_assert_uint_eq(symbol_client_find(client, &identity), file);
	}
	ck_assert_uint_eq(symbol_client_find(client, &first), 0);
}
END_TEST

START_TEST(more_files_than_allowed_forget_the_oldest)
{
	uint32_t first = 0;
	use_fake();
	for (unsigned i = 0; i <= SYMBOL_CLIENT_FILES; i++) {
		struct symbol_file identity = {.device = 1, .inode = 1 + i};
		uint32_t file = symbol_client_file(client, &identity, -1);
		if (i == 0)
			first = file;
		else
			ck_assert_uint_ne(file, first); /* keys are not used again */
	}
	assert_state(first, 1, 0);
	ck_assert_str_eq(symbol_client_build_id(client, first), "");
}
END_TEST

START_TEST(the_cache_gives_up_whole_files_but_none_that_is_waited_for)
{
	enum { COUNT = 2000 };
	static struct symbol_query queries[COUNT];
	const struct symbol_client_options options = {.cache_bytes = 200000};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	uint32_t old = add_word("answer");
	resolve_one(old, 1);
	uint32_t file = add_word("answer");
	for (int i = 0; i < COUNT; i++)
		queries[i] = (struct symbol_query){file, (uint64_t)i};
	resolve(queries, COUNT, LONG_MS);
	assert_state(old, 1, 0);
	assert_named(file, 0, "f0"); /* answered first, kept to the end */
	struct symbol_client_stats now = stats();
	ck_assert_uint_gt(now.offsets_dropped, 0);
	ck_assert_uint_lt(now.cache_bytes, 2 * options.cache_bytes);
	resolve_one(old, 1);
	assert_named(old, 1, "f1"); /* now the other had to go */
	assert_state(file, 0, 0);
}
END_TEST

START_TEST(the_queue_is_bounded)
{
	struct symbol_query *queries =
		calloc(SYMBOL_CLIENT_QUEUE + 10, sizeof(struct symbol_query));
	use_fake();
	uint32_t file = add_word("hang");
	for (uint64_t i = 0; i < SYMBOL_CLIENT_QUEUE + 10; i++)
		queries[i] = (struct symbol_query){file, i};
	resolve(queries, SYMBOL_CLIENT_QUEUE + 10, 1);
	ck_assert_uint_eq(stats().offsets_dropped, 10);
	free(queries);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("symbol_client_bounds");
	TCase *t = tcase_create("symbol_client_bounds");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, descriptors_are_taken_over_and_given_back_when_idle);
	tcase_add_test(t, more_descriptors_than_allowed_close_the_oldest_unused_one);
	tcase_add_test(t, more_files_than_allowed_forget_the_oldest);
	tcase_add_test(t, the_cache_gives_up_whole_files_but_none_that_is_waited_for);
	tcase_add_test(t, the_queue_is_bounded);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
