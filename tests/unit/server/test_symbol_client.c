/* symbol_client: with the real symbolizer on a program that knows its places, and with a fake one
 * that misbehaves on demand. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include "server/symbol_client.h"
#include "../symbolizer/places.h"
#include "support/tap_main.h"

#define LONG_MS 20000 /* stands for "until it is answered" */

static uv_loop_t loop;
static struct symbol_client *client;
static unsigned calls; /* of done */

static const char *in_build_tree(const char *name)
{
	static char path[4096];
	const char *build = getenv("BUILDDIR");
	snprintf(path, sizeof(path), "%s/%s", build ? build : ".", name);
	return path;
}

static void setup(void)
{
	calls = 0;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

/* Everything ends: no handle keeps the loop, no child is left. */
static void teardown(void)
{
	client = symbol_client_free(client);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void use(const char *program, const struct symbol_client_options *options)
{
	ck_assert_int_eq(symbol_client_new(&client, &loop, program, options), 0);
}

static void use_real(void)
{
	use(in_build_tree("spprof-symbolizer"), NULL);
}

static void use_fake(void)
{
	use(in_build_tree("tests/unit/server/fake_symbolizer"), NULL);
}

static struct symbol_file identity_of(int fd)
{
	struct stat st;
	ck_assert_int_eq(fstat(fd, &st), 0);
	return (struct symbol_file){.device = st.st_dev,
		.inode = st.st_ino,
		.mtime_ns = (uint64_t)st.st_mtim.tv_nsec,
		.size = (uint64_t)st.st_size};
}

static uint32_t add_fd(int fd)
{
	struct symbol_file identity = identity_of(fd);
	uint32_t key = symbol_client_file(client, &identity, fd);
	ck_assert_uint_gt(key, 0);
	return key;
}

static uint32_t add_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return add_fd(fd);
}

/* For the fake symbolizer. */
static uint32_t add_word(const char *word)
{
	int fd = memfd_create("word", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, word, strlen(word)), (ssize_t)strlen(word));
	return add_fd(fd);
}

static struct symbol_client_stats stats(void)
{
	struct symbol_client_stats now;
	symbol_client_stats(client, &now);
	return now;
}

static void on_done(void *data)
{
	(void)data;
	calls++;
	uv_stop(&loop);
}

static uint64_t begin(const struct symbol_query *queries, size_t count, uint32_t timeout_ms)
{
	unsigned before = calls;
	uint64_t handle = symbol_client_resolve(client, queries, count, timeout_ms, on_done, NULL);
	ck_assert_uint_gt(handle, 0);
	ck_assert_uint_eq(calls, before); /* not from inside the call */
	return handle;
}

static void await_calls(unsigned wanted)
{
	while (calls < wanted)
		uv_run(&loop, UV_RUN_DEFAULT);
}

static void resolve(const struct symbol_query *queries, size_t count, uint32_t timeout_ms)
{
	unsigned wanted = calls + 1;
	begin(queries, count, timeout_ms);
	await_calls(wanted);
	ck_assert_uint_eq(calls, wanted);
}

static void resolve_one(uint32_t file, uint64_t offset)
{
	resolve(&(struct symbol_query){file, offset}, 1, LONG_MS);
}

static void assert_named(uint32_t file, uint64_t offset, const char *function)
{
	struct symbol_lines lines;
	ck_assert_int_eq(symbol_client_lookup(client, file, offset, &lines), 1);
	ck_assert_uint_eq(lines.line_count, 1);
	ck_assert_str_eq(lines.lines[0].function, function);
}

static void assert_state(uint32_t file, uint64_t offset, int wanted)
{
	struct symbol_lines lines;
	ck_assert_int_eq(symbol_client_lookup(client, file, offset, &lines), wanted);
}

static void assert_place(uint32_t file, const struct place *place)
{
	struct symbol_lines lines;
	ck_assert_int_eq(symbol_client_lookup(client, file, place->offset, &lines), 1);
	ck_assert_uint_eq(lines.line_count, place->line_count);
	for (size_t i = 0; i < place->line_count; i++) {
		ck_assert_str_eq(lines.lines[i].function, place->lines[i].function);
		ck_assert_uint_eq(lines.lines[i].line, place->lines[i].line);
		ck_assert_ptr_nonnull(strstr(lines.lines[i].file, "/place_c"));
		ck_assert_str_ne(lines.lines[i].function_system, "");
	}
}

static void assert_all_places(const char *name)
{
	struct places places;
	struct symbol_query queries[PLACES_MAX];
	places_read(&places, places_path("fixture-pie"));
	uint32_t file = add_path(places_path(name));
	for (size_t i = 0; i < places.count; i++)
		queries[i] = (struct symbol_query){file, places.items[i].offset};
	resolve(queries, places.count, LONG_MS);
	for (size_t i = 0; i < places.count; i++)
		assert_place(file, &places.items[i]);
}

START_TEST(functions_files_lines_and_inlined_calls_arrive)
{
	use_real();
	assert_all_places("fixture-pie");
	ck_assert_uint_eq(stats().helper_starts, 1);
}
END_TEST

START_TEST(a_debug_file_beside_the_program_is_found_by_its_link)
{
	use_real();
	assert_all_places("variants/linked");
}
END_TEST

START_TEST(a_debug_file_is_found_by_build_id)
{
	char root[] = "/tmp/spprof-test-XXXXXX", command[16384], copy[256];
	const char *id;
	use_real();
	resolve_one(add_path(places_path("variants/linked")), 0);
	id = symbol_client_build_id(client, 1);
	ck_assert_uint_ge(strlen(id), 16);

	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(command, sizeof(command),
		"mkdir -p %s/.build-id/%.2s && cp %s %s/.build-id/%.2s/%s.debug && cp %s "
		"%s/program",
		root, id, places_path("variants/linked.debug"), root, id, id + 2,
		places_path("variants/linked"), root);
	ck_assert_int_eq(system(command), 0);
	client = symbol_client_free(client);
	const struct symbol_client_options options = {.debug_root = root};
	use(in_build_tree("spprof-symbolizer"), &options);
	/* a copy away from the .debug file of its link */
	struct places places;
	places_read(&places, places_path("fixture-pie"));
	snprintf(copy, sizeof(copy), "%s/program", root);
	uint32_t file = add_path(copy);
	const struct place *place = places_find(&places, "fixture_outer");
	resolve_one(file, place->offset);
	assert_place(file, place);
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(a_file_that_is_no_program_will_never_be_known)
{
	struct symbol_file identity;
	use_real();
	int fd = memfd_create("text", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, "#!/bin/sh\n", 10), 10);
	identity = identity_of(fd);
	uint32_t file = add_fd(fd);
	assert_state(file, 0, 0);
	resolve_one(file, 0);
	assert_state(file, 0, -ENODATA);
	assert_state(file, 12345, -ENODATA);
	ck_assert_uint_eq(
		symbol_client_find(client, &identity), file); /* no need to open it again */
}
END_TEST

START_TEST(an_offset_without_a_name_is_known_to_have_none)
{
	struct symbol_lines lines;
	use_real();
	uint32_t file = add_path(places_path("fixture-pie"));
	resolve_one(file, 1 << 30);
	ck_assert_int_eq(symbol_client_lookup(client, file, 1 << 30, &lines), 1);
	ck_assert_uint_eq(lines.line_count, 0);
}
END_TEST

START_TEST(answers_are_kept)
{
	use_fake();
	uint32_t file = add_word("opens");
	resolve_one(file, 7);
	assert_named(file, 7, "opened 1");
	resolve_one(file, 7);
	ck_assert_uint_eq(stats().offsets_answered, 1);
	resolve_one(file, 8);
	ck_assert_uint_eq(stats().offsets_answered, 2);
	assert_named(file, 8, "opened 1"); /* the helper keeps the file open */
}
END_TEST

START_TEST(done_is_called_when_nothing_is_missing)
{
	use_fake();
	resolve(NULL, 0, LONG_MS);
	resolve(&(struct symbol_query){99, 0}, 1, LONG_MS); /* no such file */
	ck_assert_uint_eq(stats().helper_starts, 0);	    /* it is started when first needed */
}
END_TEST

START_TEST(thousands_of_queries_about_many_files_are_one_resolve)
{
	enum { FILES = 60, EACH = 300 };
	static struct symbol_query queries[FILES * EACH];
	uint32_t files[FILES];
	use_fake();
	for (int i = 0; i < FILES; i++)
		files[i] = add_word(i % 2 ? "answer" : "pieces");
	for (int i = 0; i < FILES * EACH; i++)
		queries[i] = (struct symbol_query){files[i % FILES], (uint64_t)i / 2};
	resolve(queries, FILES * EACH, LONG_MS);
	for (int i = 0; i < FILES * EACH; i++) {
		char name[32];
		snprintf(name, sizeof(name), "f%x", i / 2);
		assert_named(queries[i].file, queries[i].offset, name);
	}
}
END_TEST

/* More files than the helper keeps open, and several batches about each. */
START_TEST(a_file_is_finished_before_the_helper_closes_it)
{
	enum { FILES = 100, EACH = 600 };
	static struct symbol_query queries[FILES * EACH];
	static char image[1 << 20];
	int source = open(places_path("variants/stripped"), O_RDONLY | O_CLOEXEC);
	ssize_t size = read(source, image, sizeof(image));
	ck_assert_int_gt(size, 0);
	close(source);
	use_real();
	for (int i = 0; i < FILES; i++) {
		int fd = memfd_create("copy", MFD_CLOEXEC);
		ck_assert_int_eq(write(fd, image, (size_t)size), size);
		uint32_t file = add_fd(fd);
		for (int j = 0; j < EACH; j++)
			queries[j * FILES + i] = (struct symbol_query){file, (uint64_t)j};
	}
	resolve(queries, FILES * EACH, LONG_MS);
	ck_assert_uint_eq(stats().offsets_answered, FILES * EACH);
	ck_assert_uint_eq(stats().files_reopened, 0);
	resolve_one(queries[0].file, EACH); /* of the first, which it has closed meanwhile */
	assert_state(queries[0].file, EACH, 1);
	ck_assert_uint_eq(stats().files_reopened, 1);
}
END_TEST

START_TEST(several_resolves_share_what_they_wait_for)
{
	use_fake();
	uint32_t file = add_word("answer");
	const struct symbol_query queries[] = {{file, 1}, {file, 2}, {file, 3}};
	begin(queries, 3, LONG_MS);
	begin(queries + 1, 2, LONG_MS);
	begin(queries, 1, LONG_MS);
	await_calls(3);
	ck_assert_uint_eq(stats().offsets_answered, 3);
}
END_TEST

START_TEST(a_cancelled_resolve_calls_nobody)
{
	use_fake();
	uint32_t file = add_word("answer");
	uint64_t handle = begin(&(struct symbol_query){file, 1}, 1, LONG_MS);
	symbol_client_cancel(client, handle);
	symbol_client_cancel(client, handle);
	resolve_one(file, 2);
	ck_assert_uint_eq(calls, 1);
	assert_named(file, 1, "f1"); /* it was asked all the same */
}
END_TEST

static void free_client(void *data)
{
	(void)data;
	calls++;
	client = symbol_client_free(client);
}

START_TEST(the_callback_may_free_the_client)
{
	use_fake();
	struct symbol_query query = {add_word("answer"), 1};
	symbol_client_resolve(client, &query, 1, LONG_MS, free_client, NULL);
	begin(&query, 1, LONG_MS);
	while (client)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_le(calls, 2);
}
END_TEST

START_TEST(a_client_freed_at_work_leaves_nothing_behind)
{
	use_real();
	resolve_one(add_path(places_path("variants/linked")), 0x1000);
	begin(&(struct symbol_query){add_path(places_path("variants/stripped")), 0x1000}, 1,
		LONG_MS);
	/* teardown frees, runs the loop out and closes it */
}
END_TEST

/* Runs the loop until the helper has answered this much. */
static void await_answers(uint64_t wanted)
{
	while (stats().offsets_answered < wanted)
		uv_run(&loop, UV_RUN_ONCE);
}

START_TEST(a_helper_killed_during_a_resolve_is_restarted_and_the_rest_answered)
{
	enum { COUNT = 20000 };
	static struct symbol_query queries[COUNT];
	use_fake();
	uint32_t files[] = {add_word("pieces"), add_word("pieces"), add_word("answer")};
	for (int i = 0; i < COUNT; i++)
		queries[i] = (struct symbol_query){files[i % 3], (uint64_t)i};
	begin(queries, COUNT, LONG_MS);
	await_answers(500);
	ck_assert_uint_lt(stats().offsets_answered, COUNT);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	await_calls(1);
	ck_assert_uint_eq(stats().helper_starts, 2);
	ck_assert_uint_eq(stats().helper_deaths, 1);
	for (int i = 0; i < COUNT; i++)
		assert_state(queries[i].file, queries[i].offset, 1);
}
END_TEST

START_TEST(the_real_helper_killed_during_a_resolve_is_restarted_too)
{
	enum { COUNT = 20000 };
	static struct symbol_query queries[COUNT];
	use_real();
	uint32_t file = add_path(in_build_tree("spprof-symbolizer"));
	for (int i = 0; i < COUNT; i++)
		queries[i] = (struct symbol_query){file, 0x4000 + (uint64_t)i};
	begin(queries, COUNT, LONG_MS);
	await_answers(1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	await_calls(1);
	ck_assert_uint_eq(stats().helper_starts, 2);
	assert_state(file, queries[COUNT - 1].offset, 1);
}
END_TEST

START_TEST(a_helper_killed_while_idle_is_started_when_needed)
{
	use_fake();
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	while (stats().helper_pid)
		uv_run(&loop, UV_RUN_ONCE);
	resolve_one(file, 2);
	assert_named(file, 2, "f2");
	ck_assert_uint_eq(stats().helper_deaths, 0);
}
END_TEST

START_TEST(a_stopped_helper_does_not_keep_the_callback)
{
	const struct symbol_client_options options = {.stall_ms = 300};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGSTOP), 0);
	resolve(&(struct symbol_query){file, 2}, 1, 50);
	assert_state(file, 2, 0);
	/* and after the deadline of the helper there is another one */
	resolve_one(file, 2);
	assert_named(file, 2, "f2");
	ck_assert_uint_eq(stats().helper_starts, 2);
}
END_TEST

static void assert_given_up_alone(const char *word)
{
	uint32_t good = add_word("answer"), bad = add_word(word), other = add_word("answer");
	const struct symbol_query queries[] = {{good, 1}, {bad, 1}, {bad, 2}, {other, 1}};
	resolve(queries, 4, LONG_MS);
	assert_named(good, 1, "f1");
	assert_named(other, 1, "f1");
	assert_state(bad, 1, -ENODATA);
	assert_state(bad, 77, -ENODATA);
	ck_assert_uint_eq(stats().files_given_up, 1);
	ck_assert_uint_eq(stats().helper_deaths, 2);
	resolve_one(bad, 3); /* and the helper is left in peace */
	ck_assert_uint_eq(stats().helper_deaths, 2);
}

START_TEST(a_file_that_killed_the_helper_twice_is_given_up)
{
	use_fake();
	assert_given_up_alone("die");
}
END_TEST

START_TEST(a_file_that_hung_the_helper_twice_is_given_up)
{
	const struct symbol_client_options options = {.stall_ms = 100};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	assert_given_up_alone("hang");
}
END_TEST

START_TEST(a_helper_that_answers_what_was_not_asked_is_ended)
{
	use_fake();
	assert_given_up_alone("nonsense");
}
END_TEST

START_TEST(a_file_that_is_closed_again_and_again_is_given_up)
{
	use_fake();
	uint32_t file = add_word("stale");
	resolve_one(file, 1);
	assert_state(file, 1, -ENODATA);
	ck_assert_uint_gt(stats().files_reopened, 0);
}
END_TEST

START_TEST(a_file_that_answers_between_deaths_is_not_given_up)
{
	use_fake();
	uint32_t file = add_word("half");
	const struct symbol_query queries[] = {{file, 1}, {file, 2}, {file, 3}, {file, 4}};
	resolve(queries, 4, LONG_MS);
	for (int i = 0; i < 4; i++)
		assert_state(file, queries[i].offset, 1);
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_costs_no_helper)
{
	use_fake();
	uint32_t file = add_word("refuse");
	resolve_one(file, 1);
	assert_state(file, 1, -ENODATA);
	ck_assert_uint_eq(stats().helper_deaths, 0);
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

static void assert_no_names_from(const char *program)
{
	use(program, NULL);
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	assert_state(file, 1, 0); /* the file is not to blame */
	resolve_one(file, 1);
	assert_state(file, 1, 0);
}

START_TEST(without_the_program_nobody_waits)
{
	assert_no_names_from("/nonexistent/spprof-symbolizer");
	ck_assert_uint_eq(stats().helper_starts, 0);
}
END_TEST

START_TEST(a_program_that_ends_at_once_is_not_the_files_fault)
{
	assert_no_names_from("/bin/false");
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

START_TEST(a_program_of_another_version_is_not_talked_to)
{
	assert_no_names_from(in_build_tree("tests/unit/server/fake_symbolizer_old"));
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

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

START_TEST(names_are_cut_and_made_printable)
{
	struct symbol_lines lines;
	use_fake();
	uint32_t file = add_word("ugly");
	resolve_one(file, 1);
	ck_assert_int_eq(symbol_client_lookup(client, file, 1, &lines), 1);
	const char *name = lines.lines[0].function;
	ck_assert_uint_eq(strlen(name), 1024);
	ck_assert_int_eq(strncmp(name, "a??[31m?\xc3\xa9xxx", 13), 0);
}
END_TEST

START_TEST(the_build_id_is_known_after_a_query)
{
	use_fake();
	uint32_t file = add_word("answer");
	ck_assert_str_eq(symbol_client_build_id(client, file), "");
	resolve_one(file, 1);
	ck_assert_str_eq(symbol_client_build_id(client, file), "ab01");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("symbol_client");
	TCase *t = tcase_create("symbol_client");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, functions_files_lines_and_inlined_calls_arrive);
	tcase_add_test(t, a_debug_file_beside_the_program_is_found_by_its_link);
	tcase_add_test(t, a_debug_file_is_found_by_build_id);
	tcase_add_test(t, a_file_that_is_no_program_will_never_be_known);
	tcase_add_test(t, an_offset_without_a_name_is_known_to_have_none);
	tcase_add_test(t, answers_are_kept);
	tcase_add_test(t, done_is_called_when_nothing_is_missing);
	tcase_add_test(t, thousands_of_queries_about_many_files_are_one_resolve);
	tcase_add_test(t, a_file_is_finished_before_the_helper_closes_it);
	tcase_add_test(t, several_resolves_share_what_they_wait_for);
	tcase_add_test(t, a_cancelled_resolve_calls_nobody);
	tcase_add_test(t, the_callback_may_free_the_client);
	tcase_add_test(t, a_client_freed_at_work_leaves_nothing_behind);
	tcase_add_test(t, a_helper_killed_during_a_resolve_is_restarted_and_the_rest_answered);
	tcase_add_test(t, the_real_helper_killed_during_a_resolve_is_restarted_too);
	tcase_add_test(t, a_helper_killed_while_idle_is_started_when_needed);
	tcase_add_test(t, a_stopped_helper_does_not_keep_the_callback);
	tcase_add_test(t, a_file_that_killed_the_helper_twice_is_given_up);
	tcase_add_test(t, a_file_that_hung_the_helper_twice_is_given_up);
	tcase_add_test(t, a_helper_that_answers_what_was_not_asked_is_ended);
	tcase_add_test(t, a_file_that_is_closed_again_and_again_is_given_up);
	tcase_add_test(t, a_file_that_answers_between_deaths_is_not_given_up);
	tcase_add_test(t, a_file_that_cannot_be_opened_costs_no_helper);
	tcase_add_test(t, without_the_program_nobody_waits);
	tcase_add_test(t, a_program_that_ends_at_once_is_not_the_files_fault);
	tcase_add_test(t, a_program_of_another_version_is_not_talked_to);
	tcase_add_test(t, descriptors_are_taken_over_and_given_back_when_idle);
	tcase_add_test(t, more_descriptors_than_allowed_close_the_oldest_unused_one);
	tcase_add_test(t, more_files_than_allowed_forget_the_oldest);
	tcase_add_test(t, the_cache_gives_up_whole_files_but_none_that_is_waited_for);
	tcase_add_test(t, the_queue_is_bounded);
	tcase_add_test(t, names_are_cut_and_made_printable);
	tcase_add_test(t, the_build_id_is_known_after_a_query);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
