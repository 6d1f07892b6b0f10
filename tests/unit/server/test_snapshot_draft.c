#include "config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "server/options.h"
#include "server/capture_tally.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "server/snapshot_draft.h"
#include "server/snapshot_scope.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

static struct fake_segment segment;

static struct session *make_session(const char *maps)
{
	struct session *session;
	struct session_claim claim = {
		.process = PROCESS_HANDLE_INIT, .uid = 1000, .attach = SESSION_HANDSHAKE};
	/* The process is gone: only what the segment says is known. */
	claim.process.pid = 4711;
	fake_segment_init(&segment, 1, 64u << 10, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_maps(&segment, maps);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	ck_assert_int_eq(session_new(&session, &claim, &options_default_limits,
				 &(const struct session_means){0}),
		0);
	return session;
}

static void write_birth(uint64_t id, uint64_t outer, uint64_t inner)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	size_t size = fake_segment_birth(record, id, 2);
	((struct wire_birth *)record)->frames[0] = inner;
	((struct wire_birth *)record)->frames[1] = outer;
	fake_segment_append(&segment, 0, record, size);
}

static uint32_t modules; /* of the latest draft */

static struct snapshot *take_scoped(struct session *session, const struct snapshot_scope *scope)
{
	uv_loop_t loop;
	uint64_t taken;
	size_t queries;
	struct symbol_client *client;
	struct snapshot_draft *draft;
	ck_assert_int_eq(session_drain(session, true, UINT64_MAX, &taken), 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(symbol_client_new(&client, &loop, "/nonexistent", NULL), 0);
	ck_assert_int_eq(snapshot_draft_new(&draft, session, scope), 0);
	snapshot_draft_modules(draft, &modules);
	free(snapshot_draft_queries(draft, &queries));
	ck_assert_uint_eq(queries, 0); /* no file was opened */
	struct snapshot *snapshot = snapshot_draft_finish(draft, client);
	snapshot_draft_free(draft);
	symbol_client_free(client);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	return snapshot;
}

static struct snapshot *take_snapshot(struct session *session, bool internals)
{
	return take_scoped(session, &(struct snapshot_scope){.internals = internals});
}

START_TEST(a_draft_without_names_tells_module_and_offset)
{
	struct session *session =
		make_session("1000-3000 r-xp 00000000 08:01 11                  /bin/prog\n"
			     "5000-9000 r-xp 00002000 08:01 12                  /lib/libx.so.1\n"
			     "a000-b000 r-xp 00000000 00:00 0                   [vdso]\n");
	write_birth(1, 0x1801, 0x5011);
	write_birth(2, 0x1801, 0x5011);
	write_birth(3, 0x1801, 0x7777777);
	struct snapshot *snapshot = take_snapshot(session, false);
	ck_assert_uint_eq(modules, 2);
	ck_assert_int_eq(snapshot->pid, 4711);
	ck_assert_uint_eq(snapshot->uid, 1000);
	ck_assert_str_eq(snapshot->comm, "prog");
	ck_assert_str_eq(snapshot->exe, "/bin/prog");
	ck_assert_uint_eq(snapshot->site_count, 2);
	ck_assert_uint_eq(snapshot->location_count, 3);
	ck_assert_uint_eq(snapshot->module_count, 2);
	const struct snapshot_site *site = &snapshot->sites[0];
	if (site->live.samples != 2)
		site = &snapshot->sites[1];
	ck_assert_uint_eq(site->live.samples, 2);
	ck_assert_uint_eq(site->depth, 2);
	const struct snapshot_location *inner = &snapshot->locations[site->locations[0]];
	const struct snapshot_location *outer = &snapshot->locations[site->locations[1]];
	ck_assert_str_eq(inner->lines[0].function, "[libx.so.1+0x2010]");
	ck_assert_str_eq(outer->lines[0].function, "[prog+0x800]");
	ck_assert_uint_eq(inner->address, 0x5010);
	ck_assert(!inner->resolved);
	ck_assert_str_eq(snapshot->modules[inner->module].path, "/lib/libx.so.1");
	ck_assert_uint_eq(snapshot->quality.locations_total, 3);
	ck_assert_uint_eq(snapshot->quality.locations_unresolved, 3);
	bool unmapped = false;
	for (uint32_t i = 0; i < 3; i++)
		unmapped |= strcmp(snapshot->locations[i].lines[0].function, "[0x7777776]") == 0 &&
			    snapshot->locations[i].module == UINT32_MAX;
	ck_assert(unmapped);
	snapshot_free(snapshot);
	session_unref(session);
	fake_segment_deinit(&segment);
}
END_TEST

/* A worker with an interpreter in /bin/python, which defines some code. */
static struct session *make_python(void)
{
	struct session *session = make_session(
		"1000-3000 r-xp 00000000 08:01 11                  /bin/python\n"
		"5000-9000 r-xp 00002000 08:01 12                  /lib/libx.so.1\n"
		"a000-b000 r-xp 00000000 08:01 13                  /lib/libc.so\n"
		"c000-d000 r-xp 00000000 08:01 14                  /lib/libspprof-agent.so\n");
	fake_segment_code(&segment, 1, "Loader.load", "/srv/app.py", 10);
	fake_segment_code(&segment, 2, "main", "/srv/app.py", 40);
	fake_segment_code(&segment, 3, "_find_and_load", "<frozen importlib._bootstrap>", 1170);
	fake_segment_code(
		&segment, 4, "exec_module", "<frozen importlib._bootstrap_external>", 800);
	return session;
}

#define PYTHON(code, unit) (WIRE_FRAME_PYTHON | (uint64_t)(code) << WIRE_FRAME_UNIT_BITS | (unit))
#define EVALUATOR	   0x1101 /* return addresses */
#define OTHER_INTERNAL	   0x1201
#define EXTENSION	   0x5301
#define LIBC		   0xa401
#define OUR_AGENT	   0xc501

/* Frames up to a 0, innermost first. */
static void write_stack(uint64_t id, uint8_t stop, const uint64_t *frames)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	uint16_t count = 0;
	while (frames[count] != 0)
		count++;
	size_t size = fake_segment_birth(record, id, count);
	struct wire_birth *birth = (struct wire_birth *)record;
	birth->stop = stop;
	memcpy(birth->frames, frames, count * sizeof *frames);
	fake_segment_append(&segment, 0, record, size);
}

#define STACK(...) ((const uint64_t[]){__VA_ARGS__, 0})

/* "load:12|main:40|[libc.so+0x400]" */
static void check_site(const struct snapshot *snapshot, uint64_t samples, const char *should)
{
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		char is[1024] = "";
		const struct snapshot_site *site = &snapshot->sites[i];
		for (uint32_t k = 0; k < site->depth; k++) {
			const struct snapshot_line *line =
				snapshot->locations[site->locations[k]].lines;
			size_t size = strlen(is);
			snprintf(is + size, sizeof is - size, line->line ? "%s%s:%u" : "%s%s",
				k > 0 ? "|" : "", line->function, line->line);
		}
		if (site->live.samples == samples && strcmp(is, should) == 0)
			return;
		if (i + 1 == snapshot->site_count)
			ck_abort_msg("%u samples, %s is not there; the last is %u, %s",
				(unsigned)samples, should, (unsigned)site->live.samples, is);
	}
}

static void end_python(struct snapshot *snapshot, struct session *session)
{
	snapshot_free(snapshot);
	session_unref(session);
	fake_segment_deinit(&segment);
}

START_TEST(a_frame_of_python_has_function_file_and_lines)
{
	struct session *session = make_python();
	write_stack(1, WIRE_STOP_END,
		STACK(EVALUATOR, PYTHON(1, 2), PYTHON(2, WIRE_FRAME_NO_UNIT), LIBC));
	struct snapshot *snapshot = take_snapshot(session, false);
	ck_assert_uint_eq(snapshot->site_count, 1);
	const struct snapshot_location *inner =
		&snapshot->locations[snapshot->sites[0].locations[0]];
	ck_assert(inner->python && inner->resolved);
	ck_assert_uint_eq(inner->module, UINT32_MAX);
	ck_assert_uint_eq(inner->address, 0);
	ck_assert_uint_eq(inner->line_count, 1);
	ck_assert_str_eq(inner->lines[0].function, "Loader.load");
	ck_assert_str_eq(inner->lines[0].file, "/srv/app.py");
	ck_assert_uint_eq(inner->lines[0].line, 12);
	ck_assert_uint_eq(inner->lines[0].first_line, 10);
	check_site(snapshot, 1, "Loader.load:12|main:40|[libc.so+0x400]");
	ck_assert_uint_eq(snapshot->quality.locations_unresolved, 1);
	end_python(snapshot, session);
}
END_TEST

static void write_python_stacks(void)
{
	write_stack(1, WIRE_STOP_END,
		STACK(OTHER_INTERNAL, EVALUATOR, PYTHON(1, 2), OTHER_INTERNAL, LIBC));
	write_stack(2, WIRE_STOP_END, STACK(EVALUATOR, PYTHON(1, 2), OTHER_INTERNAL, LIBC));
	write_stack(3, WIRE_STOP_END,
		STACK(EXTENSION, OTHER_INTERNAL, EVALUATOR, PYTHON(1, 1), EXTENSION, EVALUATOR,
			PYTHON(2, 0), OTHER_INTERNAL, LIBC));
	write_stack(4, WIRE_STOP_END, STACK(OTHER_INTERNAL, EVALUATOR, LIBC));
}

START_TEST(the_interpreter_is_left_out_where_its_program_is_shown)
{
	struct session *session = make_python();
	write_python_stacks();
	struct snapshot *snapshot = take_snapshot(session, false);
	ck_assert_uint_eq(snapshot->site_count, 3);
	check_site(snapshot, 2, "Loader.load:12|[libc.so+0x400]");
	check_site(snapshot, 1,
		"[libx.so.1+0x2300]|Loader.load:11|[libx.so.1+0x2300]|main:40|[libc.so+0x400]");
	check_site(snapshot, 1, "[python+0x200]|[python+0x100]|[libc.so+0x400]");
	ck_assert_uint_eq(snapshot->live.samples, 4);
	end_python(snapshot, session);
}
END_TEST

START_TEST(with_internals_all_frames_are_there_in_true_order)
{
	struct session *session = make_python();
	write_python_stacks();
	struct snapshot *snapshot = take_snapshot(session, true);
	ck_assert_uint_eq(snapshot->site_count, 4);
	check_site(snapshot, 1,
		"[python+0x200]|[python+0x100]|Loader.load:12|[python+0x200]|[libc.so+0x400]");
	check_site(snapshot, 1, "[python+0x100]|Loader.load:12|[python+0x200]|[libc.so+0x400]");
	check_site(snapshot, 1,
		"[libx.so.1+0x2300]|[python+0x200]|[python+0x100]|Loader.load:11|[libx.so.1+0x2300]"
		"|"
		"[python+0x100]|main:40|[python+0x200]|[libc.so+0x400]");
	end_python(snapshot, session);
}
END_TEST

START_TEST(the_agent_is_left_out_too)
{
	struct session *session = make_python();
	write_stack(
		1, WIRE_STOP_END, STACK(OUR_AGENT, OTHER_INTERNAL, EVALUATOR, PYTHON(1, 2), LIBC));
	struct snapshot *snapshot = take_snapshot(session, false);
	check_site(snapshot, 1, "Loader.load:12|[libc.so+0x400]");
	end_python(snapshot, session);
}
END_TEST

START_TEST(what_stands_before_frames_without_an_evaluator_is_no_interpreter)
{
	struct session *session = make_python();
	write_stack(1, WIRE_STOP_NO_INFO, STACK(EXTENSION, PYTHON(1, 2), PYTHON(2, 0)));
	write_stack(2, WIRE_STOP_END, STACK(EXTENSION, PYTHON(1, 2)));
	struct snapshot *snapshot = take_snapshot(session, false);
	check_site(snapshot, 1, "[libx.so.1+0x2300]|Loader.load:12|main:40");
	check_site(snapshot, 1, "[libx.so.1+0x2300]|Loader.load:12");
	end_python(snapshot, session);
}
END_TEST

START_TEST(a_run_of_the_import_system_is_one_frame)
{
	struct session *session = make_python();
	write_stack(1, WIRE_STOP_END,
		STACK(EVALUATOR, PYTHON(1, 2), PYTHON(4, 0), EVALUATOR, PYTHON(3, 1), PYTHON(3, 9),
			PYTHON(2, 0), PYTHON(3, 1), LIBC));
	struct snapshot *snapshot = take_snapshot(session, false);
	check_site(snapshot, 1, "Loader.load:12|[import]|main:40|[import]|[libc.so+0x400]");
	snapshot_free(snapshot);
	snapshot = take_snapshot(session, true);
	check_site(snapshot, 1,
		"[python+0x100]|Loader.load:12|exec_module:800|[python+0x100]|_find_and_load:1171|"
		"_find_and_load:1179|main:40|_find_and_load:1171|[libc.so+0x400]");
	end_python(snapshot, session);
}
END_TEST

START_TEST(code_that_is_not_kept_is_told_as_such)
{
	struct session *session = make_python();
	write_stack(1, WIRE_STOP_END, STACK(EVALUATOR, PYTHON(0, 7), PYTHON(77, 1), LIBC));
	struct snapshot *snapshot = take_snapshot(session, false);
	check_site(snapshot, 1, "[python code not kept]|[python code not kept]|[libc.so+0x400]");
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	ck_assert_uint_eq(numbers.feed.frames, 4);
	ck_assert_uint_eq(numbers.feed.python_frames, 2);
	ck_assert_uint_eq(numbers.feed.python_unknown_frames, 2);
	ck_assert_uint_eq(numbers.feed.unmapped_frames, 0);
	end_python(snapshot, session);
}
END_TEST

START_TEST(names_stay_when_the_process_has_ended)
{
	struct session *session = make_python();
	uint64_t taken;
	write_python_stacks();
	ck_assert_int_eq(session_drain(session, true, UINT64_MAX, &taken), 0);
	session_end(session);
	struct snapshot *snapshot = take_snapshot(session, false);
	check_site(snapshot, 2, "Loader.load:12|[libc.so+0x400]");
	end_python(snapshot, session);
}
END_TEST

START_TEST(a_walk_that_stops_is_told_by_the_last_native_frame)
{
	struct session *session = make_python();
	write_stack(1, WIRE_STOP_BOUNDS, STACK(EVALUATOR, PYTHON(1, 2), EXTENSION, PYTHON(2, 0)));
	write_stack(2, WIRE_STOP_BOUNDS, STACK(PYTHON(1, 2), PYTHON(2, 0)));
	struct snapshot *snapshot = take_snapshot(session, false);
	struct capture_tally *tally = session_audit(session)->tally;
	ck_assert_uint_eq(tally->nowhere.stops[WIRE_STOP_BOUNDS], 0);
	for (uint32_t i = 0; i < tally->count; i++) {
		bool here = i < module_map_count(session_modules(session)) &&
			    strcmp(module_map_get(session_modules(session), i)->path,
				    "/lib/libx.so.1") == 0;
		ck_assert_uint_eq(tally->items[i].stops[WIRE_STOP_BOUNDS], here);
	}
	end_python(snapshot, session);
}
END_TEST

static struct session *make_windowed_session(void)
{
	struct session *session =
		make_session("1000-3000 r-xp 00000000 08:01 11                  /bin/prog\n"
			     "5000-9000 r-xp 00002000 08:01 12                  /lib/libx.so.1\n");
	write_birth(1, 0x1801, 0x5011);
	write_birth(2, 0x1801, 0x5021);
	write_birth(3, 0x1801, 0x5021);
	write_birth(4, 0x1801, 0x5011);
	return session;
}

/* The ids of a site's samples, as a sum; each of them checked against what its birth said. */
static uint64_t ids_at(const struct snapshot *snapshot, uint32_t site)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < snapshot->sample_count; i++) {
		const struct snapshot_sample *sample = &snapshot->samples[i];
		ck_assert_uint_eq(sample->size_bytes, sample->id * 16);
		ck_assert_uint_eq(sample->address, sample->id << 4);
		ck_assert_uint_eq(sample->interval_bytes, 512u << 10);
		ck_assert_uint_eq(sample->thread, 1);
		sum += sample->site == site ? sample->id : 0;
	}
	return sum;
}

START_TEST(each_sample_is_told_with_its_site)
{
	struct session *session = make_windowed_session();
	struct snapshot *snapshot = take_scoped(session, &(struct snapshot_scope){.samples = true});
	ck_assert(!snapshot->window.set);
	ck_assert_uint_eq(snapshot->sample_count, 4);
	ck_assert_uint_eq(snapshot->site_count, 2);
	bool first = ids_at(snapshot, 0) == 5;
	ck_assert_uint_eq(ids_at(snapshot, first ? 1 : 0), 5);
	const struct snapshot_site *site = &snapshot->sites[first ? 0 : 1];
	ck_assert_str_eq(
		snapshot->locations[site->locations[0]].lines[0].function, "[libx.so.1+0x2010]");
	snapshot_free(snapshot);
	session_unref(session);
	fake_segment_deinit(&segment);
}
END_TEST

START_TEST(a_window_has_the_samples_between_two_ids)
{
	struct session *session = make_windowed_session();
	struct snapshot *snapshot = take_scoped(
		session, &(struct snapshot_scope){.since_id = 2, .until_id = 4, .samples = true});
	ck_assert(snapshot->window.set);
	ck_assert_uint_eq(snapshot->site_count, 1);
	ck_assert_uint_eq(snapshot->live.samples, 2);
	ck_assert_uint_eq(snapshot->cumulative.samples, 2);
	ck_assert_uint_eq(ids_at(snapshot, 0), 5);
	snapshot_free(snapshot);
	session_unref(session);
	fake_segment_deinit(&segment);
}
END_TEST

START_TEST(a_window_may_be_of_one_thread_and_without_end)
{
	struct session *session = make_windowed_session();
	struct snapshot *snapshot =
		take_scoped(session, &(struct snapshot_scope){.since_id = 4, .thread = 1});
	ck_assert_uint_eq(snapshot->live.samples, 1);
	ck_assert_ptr_null(snapshot->samples);
	snapshot_free(snapshot);
	snapshot = take_scoped(session, &(struct snapshot_scope){.thread = 2, .samples = true});
	ck_assert_uint_eq(snapshot->site_count, 0);
	ck_assert_uint_eq(snapshot->sample_count, 0);
	snapshot_free(snapshot);
	session_unref(session);
	fake_segment_deinit(&segment);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("snapshot_draft");
	TCase *t = tcase_create("snapshot_draft");
	tcase_add_test(t, a_draft_without_names_tells_module_and_offset);
	tcase_add_test(t, each_sample_is_told_with_its_site);
	tcase_add_test(t, a_window_has_the_samples_between_two_ids);
	tcase_add_test(t, a_window_may_be_of_one_thread_and_without_end);
	tcase_add_test(t, a_frame_of_python_has_function_file_and_lines);
	tcase_add_test(t, the_interpreter_is_left_out_where_its_program_is_shown);
	tcase_add_test(t, with_internals_all_frames_are_there_in_true_order);
	tcase_add_test(t, the_agent_is_left_out_too);
	tcase_add_test(t, what_stands_before_frames_without_an_evaluator_is_no_interpreter);
	tcase_add_test(t, a_run_of_the_import_system_is_one_frame);
	tcase_add_test(t, code_that_is_not_kept_is_told_as_such);
	tcase_add_test(t, names_stay_when_the_process_has_ended);
	tcase_add_test(t, a_walk_that_stops_is_told_by_the_last_native_frame);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
