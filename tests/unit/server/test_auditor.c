/*
 * auditor and session_audit: from records in a segment that the test writes itself, as if it were
 * the worker, to verdicts of a helper that says what the worker's file tells it to.
 */
#define _GNU_SOURCE
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>
#include "server/auditor.h"
#include "server/capture_confidence.h"
#include "server/drain_scheduler.h"
#include "server/module_files.h"
#include "server/module_map.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "server/session_table.h"
#include "server/symbol_client.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

#define CODE_BYTES 8192u
#define FRAMES	   6u

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct session_table *table;
static struct symbol_client *client;
static struct module_files *files;
static struct auditor *auditor;
static struct options_limits limits;
static struct fake_segment segment;
static struct session *session;
static void *code;
static char path[64];

/* What the worker has mapped as code: a file that begins with the word. */
static void map_code(const char *word)
{
	snprintf(path, sizeof path, "/tmp/spprof-auditor-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, word, strlen(word) + 1), (ssize_t)strlen(word) + 1);
	ck_assert_int_eq(ftruncate(fd, CODE_BYTES), 0);
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(code, MAP_FAILED);
	close(fd);
}

static void begin(const char *word)
{
	map_code(word);
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	ck_assert_int_eq(process_handle_open(&claim.process, getpid(), -1), 0);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	ck_assert_int_eq(session_table_adopt(table, &claim), 0);
	session = session_table_find(table, getpid());
}

static void set_up(uint32_t stall_ms)
{
	char program[4096];
	const char *build = getenv("BUILDDIR");
	const struct auditor_options options = {.stall_ms = stall_ms};
	limits = options_default_limits;
	snprintf(program, sizeof program, "%s/tests/unit/server/fake_symbolizer",
		build ? build : ".");
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, NULL, &limits), 0);
	ck_assert_int_eq(symbol_client_new(&client, &loop, program, NULL), 0);
	ck_assert_int_eq(module_files_new(&files, &loop, client), 0);
	ck_assert_int_eq(auditor_new(&auditor, &loop, program, files, client, &options), 0);
	session_table_audit_by(table, auditor);
	fake_segment_init(&segment, 4, 1u << 20, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
}

static void setup(void)
{
	set_up(30000);
}

static void setup_impatient(void)
{
	set_up(200);
}

static void teardown(void)
{
	session_table_free(table);
	auditor_free(auditor);
	module_files_free(files);
	symbol_client_free(client);
	drain_scheduler_free(scheduler);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_segment_deinit(&segment);
	munmap(code, CODE_BYTES);
	unlink(path);
}

/* The part from `offset` on of an audit whose frames lie in the mapped code. */
static struct wire_audit *make_part(uint64_t id, uint16_t offset)
{
	static union {
		struct wire_audit part;
		uint8_t bytes[WIRE_RECORD_MAX];
	} record;
	fake_segment_audit(&record, id, FRAMES, 8192, offset);
	record.part.pc = (uintptr_t)code + 16;
	for (uint64_t i = 0; offset == 0 && i < FRAMES; i++) {
		uint64_t frame = record.part.pc + i;
		memcpy(record.part.payload + i * sizeof frame, &frame, sizeof frame);
	}
	return &record.part;
}

static void write_part(const struct wire_audit *part)
{
	fake_segment_append(&segment, 0, part, part->record.size);
}

static void write_audit(uint64_t id)
{
	write_part(make_part(id, 0));
	write_part(make_part(id, FRAMES * 8));
	write_part(make_part(id, FRAMES * 8 + WIRE_AUDIT_PART_MAX));
}

static const struct session_audit_stats *await(uint64_t heard)
{
	const struct session_audit_stats *stats = &session_audit(session)->stats;
	while (stats->heard < heard || stats->pending > 0)
		uv_run(&loop, UV_RUN_ONCE);
	return stats;
}

START_TEST(an_audit_in_parts_gets_a_verdict)
{
	begin("answer");
	write_audit(1);
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_AGREED], 1);
	ck_assert_uint_eq(await(1)->frames, FRAMES);
}
END_TEST

/* Of an interpreter, at every third place; the fake symbolizer says how many frames it was given. */
START_TEST(frames_of_an_interpreter_are_not_judged)
{
	begin("answer");
	struct wire_audit *part = make_part(1, 0);
	for (uint64_t i = 1; i < FRAMES; i += 3) {
		uint64_t frame = wire_frame_python(7, (uint32_t)i);
		memcpy(part->payload + i * sizeof frame, &frame, sizeof frame);
	}
	write_part(part);
	write_part(make_part(1, FRAMES * 8));
	write_part(make_part(1, FRAMES * 8 + WIRE_AUDIT_PART_MAX));
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_AGREED], 1);
	ck_assert_uint_eq(await(1)->frames, FRAMES - (FRAMES + 1) / 3);
}
END_TEST

START_TEST(an_audit_of_an_interpreter_s_frames_alone_makes_no_sense)
{
	begin("answer");
	struct wire_audit *part = make_part(1, 0);
	part->pc = wire_frame_python(7, 1);
	for (uint64_t i = 0; i < FRAMES; i++)
		memcpy(part->payload + i * sizeof part->pc, &part->pc, sizeof part->pc);
	uint64_t pc = part->pc;
	write_part(part);
	for (int i = 0; i < 2; i++) {
		part = make_part(1, (uint16_t)(FRAMES * 8 + i * WIRE_AUDIT_PART_MAX));
		part->pc = pc;
		write_part(part);
	}
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_BROKEN], 1);
}
END_TEST

START_TEST(a_difference_is_charged_to_the_module_whose_caller_is_disputed)
{
	begin("differ");
	write_audit(1);
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_DIFFERENT], 1);
	struct capture_trouble worst[CAPTURE_CONFIDENCE_MODULES];
	ck_assert_uint_eq(capture_confidence_worst(session_audit(session)->tally, worst), 1);
	ck_assert_str_eq(module_map_get(session_modules(session), worst[0].module)->path, path);
}
END_TEST

START_TEST(a_helper_that_has_closed_the_file_is_told_of_it_again)
{
	begin("again");
	write_audit(1);
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_AGREED], 1);
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_starts, 1);
	ck_assert_uint_eq(stats.helper_deaths, 0);
}
END_TEST

static void helper_fails_over(const char *word)
{
	begin(word);
	write_audit(1);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_HELPER], 1);
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_deaths, 1);
	/* The next stack is another helper's. */
	write_audit(2);
	ck_assert_uint_eq(await(2)->unjudged[SESSION_AUDIT_HELPER], 2);
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_starts, 2);
}

START_TEST(a_helper_that_dies_is_replaced)
{
	helper_fails_over("die");
}
END_TEST

START_TEST(a_helper_that_hangs_is_ended_and_replaced)
{
	helper_fails_over("hang");
}
END_TEST

START_TEST(a_verdict_that_cannot_be_ends_the_helper)
{
	helper_fails_over("nonsense");
}
END_TEST

/* As if another user's worker came next: a real one takes a test that runs as root. */
static void change_user(void)
{
	((struct session_facts *)session_facts(session))->uid++;
}

static uint64_t starts_after_audit(uint64_t id)
{
	struct auditor_stats stats;
	write_audit(id);
	await(id);
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.judged, id);
	ck_assert_uint_eq(stats.helper_deaths, 0);
	return stats.helper_starts;
}

START_TEST(no_helper_gets_stacks_of_two_users)
{
	begin("answer");
	ck_assert_uint_eq(starts_after_audit(1), 1);
	ck_assert_uint_eq(starts_after_audit(2), 1);
	change_user();
	ck_assert_uint_eq(starts_after_audit(3), 2);
	ck_assert_uint_eq(starts_after_audit(4), 2);
}
END_TEST

START_TEST(a_file_that_is_of_no_use_leaves_the_stack_unjudged)
{
	begin("refuse");
	write_audit(1);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_NO_FILE], 1);
}
END_TEST

START_TEST(parts_that_do_not_fit_are_thrown_away)
{
	begin("answer");
	write_part(make_part(1, 0)); /* its other parts never come */
	write_part(make_part(2, FRAMES * 8));
	write_part(make_part(3, 0));
	write_part(make_part(3, FRAMES * 8 + WIRE_AUDIT_PART_MAX)); /* one is missing */
	struct wire_audit *part = make_part(4, 0);
	part->pc++; /* is not the first frame */
	write_part(part);
	for (uint16_t offset = FRAMES * 8; offset < FRAMES * 8 + 8192; offset += 4096) {
		part = make_part(4, offset);
		part->pc++;
		write_part(part);
	}
	write_audit(5);
	ck_assert_uint_eq(await(4)->verdicts[SESSION_AUDIT_AGREED], 1);
	ck_assert_uint_eq(await(4)->unjudged[SESSION_AUDIT_BROKEN], 3);
}
END_TEST

START_TEST(a_flood_is_refused_and_counted)
{
	begin("hang");
	for (uint64_t id = 1; id <= 100; id++)
		write_audit(id);
	const struct session_audit_stats *stats = &session_audit(session)->stats;
	while (stats->heard < 100)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_ge(stats->unjudged[SESSION_AUDIT_BUSY], 60);
	ck_assert_uint_le(stats->pending, 33);
	struct auditor_stats numbers;
	auditor_stats(auditor, &numbers);
	ck_assert_uint_le(numbers.waiting, 32);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("auditor");
	TCase *t = tcase_create("auditor");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_audit_in_parts_gets_a_verdict);
	tcase_add_test(t, frames_of_an_interpreter_are_not_judged);
	tcase_add_test(t, an_audit_of_an_interpreter_s_frames_alone_makes_no_sense);
	tcase_add_test(t, a_difference_is_charged_to_the_module_whose_caller_is_disputed);
	tcase_add_test(t, a_helper_that_has_closed_the_file_is_told_of_it_again);
	tcase_add_test(t, a_helper_that_dies_is_replaced);
	tcase_add_test(t, a_verdict_that_cannot_be_ends_the_helper);
	tcase_add_test(t, no_helper_gets_stacks_of_two_users);
	tcase_add_test(t, a_file_that_is_of_no_use_leaves_the_stack_unjudged);
	tcase_add_test(t, parts_that_do_not_fit_are_thrown_away);
	tcase_add_test(t, a_flood_is_refused_and_counted);
	suite_add_tcase(suite, t);
	t = tcase_create("impatient");
	tcase_add_checked_fixture(t, setup_impatient, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_helper_that_hangs_is_ended_and_replaced);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
