/* Records that name code which was mapped after the attach: what waits for the new mappings, and for how long. */
#define _GNU_SOURCE
#include "config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>
#include "model/heap_model.h"
#include "server/drain_scheduler.h"
#include "server/module_map.h"
#include "server/options.h"
#include "server/process_reader.h"
#include "server/session.h"
#include "server/session_maps.h"
#include "server/session_table.h"
#include "support/adopt.h"
#include "support/fake_segment.h"
#include "support/silent_helper.h"
#include "support/tap_main.h"

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct process_reader *reader;
static struct session_table *table;
static struct options_limits limits;
static struct fake_segment segment;
static struct session *session;
static char script[] = "/tmp/spprof-test-helper-XXXXXX";

static void attach(void)
{
	session = adopt_self(table, &segment);
}

static void use(const char *program, uint32_t hold_ms)
{
	const struct process_reader_options options = {.program = program, .stall_ms = 60000};
	limits = options_default_limits;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(process_reader_new(&reader, &loop, &options), 0);
	const struct session_means means = {.reader = reader, .hold_ms = hold_ms};
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
	fake_segment_init(&segment, 4, 1u << 20, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	attach();
}

static void use_real(void)
{
	char program[4096];
	const char *build = getenv("BUILDDIR");
	snprintf(program, sizeof program, "%s/spprof-proc-reader", build ? build : ".");
	use(program, 60000);
}

static void use_silent(void)
{
	silent_helper_make(script);
	use(script, 250);
}

static void teardown(void)
{
	session_table_free(table);
	drain_scheduler_free(scheduler);
	process_reader_free(reader);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_segment_deinit(&segment);
	unlink(script);
}

/* Where nothing was mapped when the session began. */
static uint64_t map_code(void)
{
	char path[] = "/tmp/spprof-test-new-code-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(code, MAP_FAILED);
	close(fd);
	return (uint64_t)(uintptr_t)code;
}

static void write_birth(uint64_t id, uint64_t pc)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	size_t size = fake_segment_birth(record, id, 1);
	((struct wire_birth *)record)->frames[0] = pc;
	fake_segment_append(&segment, 0, record, size);
}

static struct session_numbers numbers(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers;
}

static void set_flag(void *flag)
{
	*(bool *)flag = true;
}

static void catch_up(void)
{
	bool done = false;
	ck_assert(session_table_catch_up(table, session, set_flag, &done));
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
}

static bool is_module(const char *name)
{
	const struct module_map *modules = session_modules(session);
	for (uint32_t i = 0; i < module_map_count(modules); i++)
		if (strstr(module_map_get(modules, i)->path, name))
			return true;
	return false;
}

START_TEST(a_record_waits_for_the_mappings_that_name_its_code)
{
	use_real();
	write_birth(1, map_code() + 16);
	ck_assert(!is_module("new-code"));
	catch_up();
	ck_assert(is_module("new-code"));
	ck_assert_uint_eq(numbers().feed.births, 1);
	ck_assert_uint_eq(numbers().feed.frames, 1);
	ck_assert_uint_eq(numbers().feed.unmapped_frames, 0);
	ck_assert_uint_eq(numbers().refreshes, 1);
}
END_TEST

START_TEST(a_record_does_not_wait_for_mappings_that_do_not_come)
{
	use_silent();
	write_birth(1, map_code() + 16);
	catch_up();
	ck_assert_uint_eq(numbers().feed.births, 1);
	ck_assert_uint_eq(numbers().feed.unmapped_frames, 1);
	/* The others behind it neither, while that ask goes on. */
	write_birth(2, map_code() + 16);
	catch_up();
	ck_assert_uint_eq(numbers().feed.births, 2);
	ck_assert_uint_eq(numbers().refreshes, 0);
	struct process_reader_stats stats;
	process_reader_stats(reader, &stats);
	ck_assert_uint_eq(stats.busy, 1);
}
END_TEST

START_TEST(a_record_that_waits_is_looked_at_a_few_times_only)
{
	struct drain_scheduler_stats before, after;
	use_silent();
	catch_up();
	write_birth(1, map_code() + 16);
	drain_scheduler_stats(scheduler, &before);
	catch_up();
	drain_scheduler_stats(scheduler, &after);
	ck_assert_uint_eq(numbers().feed.births, 1);
	ck_assert_uint_lt(after.turns - before.turns, 20);
}
END_TEST

START_TEST(a_session_may_go_while_its_mappings_are_read)
{
	use_silent();
	write_birth(1, map_code() + 16);
	struct process_reader_stats stats = {0};
	while (stats.busy == 0) {
		uv_run(&loop, UV_RUN_ONCE);
		process_reader_stats(reader, &stats);
	}
	session_table_free(table);
	const struct session_means means = {.reader = reader};
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
}
END_TEST

START_TEST(code_that_is_in_no_mapping_is_asked_for_ever_more_seldom)
{
	use_real();
	for (uint64_t id = 1; id <= 50; id++) {
		write_birth(id, 0x1000 + id * 0x1000);
		catch_up();
	}
	ck_assert_uint_eq(numbers().feed.births, 50);
	ck_assert_uint_eq(numbers().feed.unmapped_frames, 50);
	ck_assert_uint_ge(numbers().refreshes, 1);
	ck_assert_uint_lt(numbers().refreshes, 50);
}
END_TEST

/* One line again and again, up to `size` bytes. */
static struct process_texts *many_mappings(size_t size)
{
	static const char line[] = "1000-2000 r-xp 00000000 00:01 1 /one/of/many\n";
	struct process_texts *texts = process_texts_new();
	for (size_t left = size; left > 0;) {
		size_t bytes = left < sizeof line - 1 ? left : sizeof line - 1;
		ck_assert_int_eq(process_texts_append(texts, PROC_FILE_MAPS, line, bytes, -1), 0);
		left -= bytes;
	}
	process_texts_end(texts, PROC_FILE_MAPS, 0);
	return texts;
}

static int take_mappings(struct session_maps *maps, size_t size)
{
	struct process_texts *texts = many_mappings(size);
	int r = session_maps_take(maps, texts, 0);
	process_texts_free(texts);
	return r;
}

START_TEST(more_mappings_than_there_is_room_for_do_not_tell_of_an_exec)
{
	struct session_maps maps;
	struct segment_map *map;
	use_real();
	ck_assert_int_eq(segment_map_new(&map, fake_segment_dup(&segment), NULL), 0);
	ck_assert_int_eq(session_maps_init(&maps, session_process(session), map), 0);
	ck_assert_int_eq(take_mappings(&maps, proc_file_max(PROC_FILE_MAPS)), -EFBIG);
	ck_assert(!maps.replaced);
	ck_assert_uint_eq(module_map_count(maps.modules), 1);
	ck_assert_int_eq(take_mappings(&maps, proc_file_max(PROC_FILE_MAPS) - 1), -ESTALE);
	ck_assert(maps.replaced);
	session_maps_deinit(&maps);
	segment_map_free(map);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_maps");
	TCase *t = tcase_create("session_maps");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_record_waits_for_the_mappings_that_name_its_code);
	tcase_add_test(t, a_record_does_not_wait_for_mappings_that_do_not_come);
	tcase_add_test(t, a_record_that_waits_is_looked_at_a_few_times_only);
	tcase_add_test(t, a_session_may_go_while_its_mappings_are_read);
	tcase_add_test(t, code_that_is_in_no_mapping_is_asked_for_ever_more_seldom);
	tcase_add_test(t, more_mappings_than_there_is_room_for_do_not_tell_of_an_exec);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
