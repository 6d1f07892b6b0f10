/*
 * auditor and session_audit: from records in a segment that the test writes itself, as if it were
 * the worker, to verdicts of a helper that says what the worker's file tells it to.
 */
#define _GNU_SOURCE
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
#include "support/read_texts.h"
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
static const struct session_means means;
static struct fake_segment segment;
static struct session *session;
static void *codes[2], *code; /* the worker's, and where the next audit is from */
static char paths[2][64], *path;
static unsigned mapped;

/* What the worker has mapped as code: a file that begins with the word. */
static void map_code(const char *word)
{
	path = paths[mapped];
	snprintf(path, sizeof paths[0], "/tmp/spprof-auditor-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, word, strlen(word) + 1), (ssize_t)strlen(word) + 1);
	ck_assert_int_eq(ftruncate(fd, CODE_BYTES), 0);
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(code, MAP_FAILED);
	codes[mapped++] = code;
	close(fd);
}

static void attach(void)
{
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	ck_assert_int_eq(process_handle_open(&claim.process, getpid(), -1), 0);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	struct process_texts *texts = read_texts(&claim.process, session_claim_files);
	claim.texts = texts;
	ck_assert_int_eq(session_table_adopt(table, &claim), 0);
	process_texts_free(texts);
	session = session_table_find(table, getpid());
}

static void begin(const char *word)
{
	map_code(word);
	attach();
}

static void set_up(uint32_t stall_ms, const char *program)
{
	const struct auditor_options options = {.stall_ms = stall_ms};
	limits = options_default_limits;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
	ck_assert_int_eq(symbol_client_new(&client, &loop, program, NULL), 0);
	ck_assert_int_eq(module_files_new(&files, &loop, client), 0);
	ck_assert_int_eq(auditor_new(&auditor, &loop, program, files, client, &options), 0);
	session_table_audit_by(table, auditor);
	fake_segment_init(&segment, 4, 1u << 20, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
}

static char symbolizer[4096], symbolizer_path[PATH_MAX],
	slow_symbolizer[] = "/tmp/spprof-auditor-XXXXXX";

static void find_symbolizer(void)
{
	const char *build = getenv("BUILDDIR");
	snprintf(symbolizer, sizeof symbolizer, "%s/tests/unit/server/fake_symbolizer",
		build ? build : ".");
	ck_assert_ptr_nonnull(realpath(symbolizer, symbolizer_path));
}

static void setup(void)
{
	find_symbolizer();
	set_up(30000, symbolizer_path);
}

static void setup_impatient(void)
{
	find_symbolizer();
	set_up(200, symbolizer_path);
}

/* The helper takes its time before it is ready. */
static void setup_slow_start(void)
{
	find_symbolizer();
	int fd = mkstemp(slow_symbolizer);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, 0755), 0);
	dprintf(fd, "#!/bin/sh\n/bin/sleep 0.1\nexec %s\n", symbolizer_path);
	close(fd);
	set_up(30000, slow_symbolizer);
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
	while (mapped > 0) {
		munmap(codes[--mapped], CODE_BYTES);
		unlink(paths[mapped]);
	}
	unlink(slow_symbolizer);
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

static struct auditor_stats auditor_numbers(void)
{
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	return stats;
}

static void hear(uint64_t count)
{
	while (session_audit(session)->stats.heard < count)
		uv_run(&loop, UV_RUN_ONCE);
}

/* As a record does that names code which is not known. */
static void read_mappings(void)
{
	static char text[1 << 20];
	FILE *maps = fopen("/proc/self/maps", "r");
	ck_assert_ptr_nonnull(maps);
	size_t size = fread(text, 1, sizeof text, maps);
	fclose(maps);
	module_map_update(
		(struct module_map *)session_modules(session), text, size, MODULE_MAP_KERNEL, 0);
}

START_TEST(one_users_failures_do_not_come_before_another_users_stacks)
{
	map_code("answer");
	map_code("die");
	attach();
	for (uint64_t id = 1; id <= 10; id++)
		write_audit(id);
	hear(10);
	change_user();
	code = codes[0];
	write_audit(11);
	hear(11);
	uint64_t deaths = auditor_numbers().helper_deaths;
	while (auditor_numbers().judged == 0)
		uv_run(&loop, UV_RUN_ONCE);
	/* At most the one that was under way. */
	ck_assert_uint_le(auditor_numbers().helper_deaths, deaths + 1);
	ck_assert_uint_ge(auditor_numbers().waiting, 1);
}
END_TEST

/* How much later the second verdict comes than the first one. */
static uint64_t distance_of_two_verdicts_ns(const char *word)
{
	uint64_t at[2];
	begin(word);
	write_audit(1);
	write_audit(2);
	for (uint64_t i = 0; i < 2; i++) {
		while (auditor_numbers().judged <= i)
			uv_run(&loop, UV_RUN_ONCE);
		at[i] = uv_hrtime();
	}
	return at[1] - at[0];
}

START_TEST(the_start_of_a_helper_is_rested_for)
{
	ck_assert_uint_ge(distance_of_two_verdicts_ns("answer"), UINT64_C(850000000));
}
END_TEST

START_TEST(the_first_half_of_an_audit_that_is_asked_for_twice_is_rested_for)
{
	ck_assert_uint_ge(distance_of_two_verdicts_ns("slow again"), UINT64_C(850000000));
}
END_TEST

START_TEST(code_that_is_mapped_later_is_found_or_counted_apart)
{
	map_code("answer");
	attach();
	map_code("answer");
	/* Nothing has the mappings read again, and then something does. */
	write_audit(1);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_UNMAPPED], 1);
	write_audit(2);
	uint64_t taken;
	ck_assert_int_eq(session_drain(session, true, UINT64_MAX, &taken), 0);
	session_tend(session);
	ck_assert_uint_eq(session_audit(session)->stats.pending, 1);
	read_mappings();
	ck_assert_uint_eq(await(2)->verdicts[SESSION_AUDIT_AGREED], 1);
	ck_assert_uint_eq(await(2)->verdicts[SESSION_AUDIT_LONGER], 0);
}
END_TEST

START_TEST(what_has_come_of_an_audit_does_not_outlive_the_process)
{
	begin("answer");
	write_part(make_part(1, 0));
	hear(1);
	ck_assert_ptr_nonnull(session_audit(session)->item);
	size_t bytes = session_bytes(session);
	session_end(session);
	ck_assert_ptr_null(session_audit(session)->item);
	ck_assert_uint_eq(session_audit(session)->stats.unjudged[SESSION_AUDIT_BROKEN], 1);
	ck_assert_uint_le(session_bytes(session) + WIRE_AUDIT_PAYLOAD_MAX, bytes);
}
END_TEST

START_TEST(a_file_that_is_of_no_use_leaves_the_stack_unjudged)
{
	begin("refuse");
	write_audit(1);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_NO_FILE], 1);
}
END_TEST

/* The same part of every audit, changed. */
static void write_changed_audit(uint64_t id, void (*change)(struct wire_audit *part))
{
	for (uint16_t offset = 0; offset < FRAMES * 8 + 8192;) {
		struct wire_audit *part = make_part(id, offset);
		change(part);
		write_part(part);
		offset = (uint16_t)(offset + part->record.size - sizeof *part);
	}
}

static void put_into_no_mapping(struct wire_audit *part)
{
	part->pc = 4096;
	for (uint64_t i = 0; part->offset == 0 && i < FRAMES; i++) {
		uint64_t frame = part->pc + i;
		memcpy(part->payload + i * sizeof frame, &frame, sizeof frame);
	}
}

START_TEST(code_that_is_in_no_known_file_leaves_the_stack_unjudged)
{
	begin("answer");
	write_changed_audit(1, put_into_no_mapping);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_UNMAPPED], 1);
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_LONGER], 0);
}
END_TEST

static void cut_short(struct wire_audit *part)
{
	part->stop = WIRE_STOP_NO_INFO;
}

START_TEST(a_stack_that_both_cannot_follow_further_is_told_from_a_whole_one)
{
	begin("answer");
	write_audit(1);
	write_changed_audit(2, cut_short);
	ck_assert_uint_eq(await(2)->verdicts[SESSION_AUDIT_AGREED], 2);
	ck_assert_uint_eq(await(2)->cut_short, 1);
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

START_TEST(a_session_that_is_removed_leaves_nothing_waiting)
{
	begin("hang");
	for (uint64_t id = 1; id <= 10; id++)
		write_audit(id);
	hear(10);
	ck_assert_uint_ge(auditor_numbers().waiting, 9);
	table = session_table_free(table);
	ck_assert_uint_eq(auditor_numbers().waiting, 0);
}
END_TEST

/* Standard error goes to a file from here on. */
static FILE *catch_log(void)
{
	FILE *log = tmpfile();
	ck_assert_ptr_nonnull(log);
	ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
	return log;
}

static uint64_t count_lines(FILE *log)
{
	char line[1024];
	uint64_t lines = 0;
	rewind(log);
	while (fgets(line, sizeof line, log) != NULL)
		lines++;
	return lines;
}

START_TEST(a_helper_that_dies_for_ever_new_users_does_not_flood_the_log)
{
	enum { DEATHS = 40, MESSAGES_OF_EACH = 2, BURST = 10 };
	begin("die");
	FILE *log = catch_log();
	uint64_t since = uv_hrtime();
	for (uint64_t id = 1; id <= DEATHS; id++) {
		write_audit(id);
		await(id);
		change_user();
	}
	ck_assert_uint_eq(auditor_numbers().helper_deaths, DEATHS);
	uint64_t seconds = (uv_hrtime() - since) / UINT64_C(1000000000) + 1;
	ck_assert_uint_ge(count_lines(log), 1);
	ck_assert_uint_le(count_lines(log), MESSAGES_OF_EACH * (BURST + seconds));
	fclose(log);
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
	tcase_add_test(t, one_users_failures_do_not_come_before_another_users_stacks);
	tcase_add_test(t, the_first_half_of_an_audit_that_is_asked_for_twice_is_rested_for);
	tcase_add_test(t, code_that_is_mapped_later_is_found_or_counted_apart);
	tcase_add_test(t, what_has_come_of_an_audit_does_not_outlive_the_process);
	tcase_add_test(t, a_file_that_is_of_no_use_leaves_the_stack_unjudged);
	tcase_add_test(t, code_that_is_in_no_known_file_leaves_the_stack_unjudged);
	tcase_add_test(t, a_stack_that_both_cannot_follow_further_is_told_from_a_whole_one);
	tcase_add_test(t, parts_that_do_not_fit_are_thrown_away);
	tcase_add_test(t, a_flood_is_refused_and_counted);
	tcase_add_test(t, a_session_that_is_removed_leaves_nothing_waiting);
	tcase_add_test(t, a_helper_that_dies_for_ever_new_users_does_not_flood_the_log);
	suite_add_tcase(suite, t);
	t = tcase_create("impatient");
	tcase_add_checked_fixture(t, setup_impatient, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_helper_that_hangs_is_ended_and_replaced);
	suite_add_tcase(suite, t);
	t = tcase_create("slow start");
	tcase_add_checked_fixture(t, setup_slow_start, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_start_of_a_helper_is_rested_for);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
