/* What an audit gets for a verdict, and which ones get none. */
#define _GNU_SOURCE
#include "config.h"
#include "auditor_fixture.h"
#include "server/capture_confidence.h"
#include "server/module_map.h"

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

static Suite *make_suite(void)
{
	Suite *s = suite_create("auditor");
	TCase *t = tcase_create("auditor");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_audit_in_parts_gets_a_verdict);
	tcase_add_test(t, frames_of_an_interpreter_are_not_judged);
	tcase_add_test(t, an_audit_of_an_interpreter_s_frames_alone_makes_no_sense);
	tcase_add_test(t, a_difference_is_charged_to_the_module_whose_caller_is_disputed);
	tcase_add_test(t, code_that_is_mapped_later_is_found_or_counted_apart);
	tcase_add_test(t, what_has_come_of_an_audit_does_not_outlive_the_process);
	tcase_add_test(t, a_file_that_is_of_no_use_leaves_the_stack_unjudged);
	tcase_add_test(t, code_that_is_in_no_known_file_leaves_the_stack_unjudged);
	tcase_add_test(t, a_stack_that_both_cannot_follow_further_is_told_from_a_whole_one);
	tcase_add_test(t, parts_that_do_not_fit_are_thrown_away);
	tcase_add_test(t, a_flood_is_refused_and_counted);
	tcase_add_test(t, a_session_that_is_removed_leaves_nothing_waiting);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(make_suite)
