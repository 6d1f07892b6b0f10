/* What is answered, and to whom. */
#define _GNU_SOURCE
#include <errno.h>
#include "../symbolizer/places.h"
#include "symbol_client_fixture.h"

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
	tcase_add_test(t, names_are_cut_and_made_printable);
	tcase_add_test(t, the_build_id_is_known_after_a_query);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
