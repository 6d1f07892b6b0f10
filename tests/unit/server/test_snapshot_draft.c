#include "config.h"
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "server/options.h"
#include "server/session.h"
#include "server/snapshot_draft.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

/* `count` sites of one frame each, in locations of `text` bytes; site i has i + 1 live samples. */
static struct snapshot *make_snapshot(uint32_t count, size_t text)
{
	struct snapshot *snapshot = alloc_zeroed(1, sizeof *snapshot);
	char *name = alloc_zeroed(1, text + 1);
	memset(name, 'f', text);
	ck_assert_int_eq(string_pool_new(&snapshot->strings), 0);
	snapshot->sites = alloc_zeroed(count + 1, sizeof *snapshot->sites);
	snapshot->locations = alloc_zeroed(count, sizeof *snapshot->locations);
	snapshot->location_indices = alloc_zeroed(count, sizeof *snapshot->location_indices);
	snapshot->lines = alloc_zeroed(1, sizeof *snapshot->lines);
	snapshot->lines[0].function = string_pool_add(snapshot->strings, name, text);
	snapshot->lines[0].function_system = snapshot->lines[0].file = "";
	for (uint32_t i = 0; i < count; i++) {
		snapshot->locations[i] =
			(struct snapshot_location){.line_count = 1, .lines = snapshot->lines};
		snapshot->location_indices[i] = i;
		snapshot->sites[i].locations = &snapshot->location_indices[i];
		snapshot->sites[i].depth = 1;
		for (uint32_t j = 0; j <= i; j++) {
			estimate_add(&snapshot->sites[i].live, 1u << 20, 1u << 19);
			estimate_add(&snapshot->sites[i].cumulative, 1u << 20, 1u << 19);
		}
	}
	snapshot->site_count = snapshot->location_count = count;
	free(name);
	return snapshot;
}

START_TEST(a_snapshot_within_the_bound_is_kept_whole)
{
	struct snapshot *snapshot = make_snapshot(10, 84);
	snapshot_draft_bound(snapshot, 1000);
	ck_assert_uint_eq(snapshot->site_count, 10);
	ck_assert_uint_eq(snapshot->live.samples, 55);
	ck_assert_uint_eq(snapshot->quality.folded_samples, 0);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(past_the_bound_the_smallest_sites_are_folded_into_other)
{
	struct snapshot *snapshot = make_snapshot(10, 84);
	snapshot_draft_bound(snapshot, 700);
	ck_assert_uint_eq(snapshot->site_count, 8);
	/* 1 + 2 + 3 samples, that is more than the smallest that was kept: 4 */
	uint32_t others = 0;
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		if (snapshot->sites[i].depth > 0)
			continue;
		others++;
		ck_assert_uint_eq(snapshot->sites[i].live.samples, 6);
	}
	ck_assert_uint_eq(others, 1);
	ck_assert_uint_eq(snapshot->live.samples, 55);
	ck_assert_uint_eq(snapshot->quality.folded_samples, 6);
	ck_assert_double_gt(snapshot->quality.folded_bytes, 6 << 20);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(even_one_site_may_be_too_much)
{
	struct snapshot *snapshot = make_snapshot(3, 84);
	snapshot_draft_bound(snapshot, 50);
	ck_assert_uint_eq(snapshot->site_count, 1);
	ck_assert_uint_eq(snapshot->sites[0].depth, 0);
	ck_assert_uint_eq(snapshot->live.samples, 6);
	snapshot_free(snapshot);
}
END_TEST

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
	ck_assert_int_eq(session_new(&session, &claim, &options_default_limits, NULL), 0);
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

static struct snapshot *take_snapshot(struct session *session)
{
	uv_loop_t loop;
	uint64_t taken;
	uint32_t modules;
	size_t queries;
	struct symbol_client *client;
	struct snapshot_draft *draft;
	ck_assert_int_eq(session_drain(session, true, UINT64_MAX, &taken), 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(symbol_client_new(&client, &loop, "/nonexistent", NULL), 0);
	ck_assert_int_eq(snapshot_draft_new(&draft, session), 0);
	ck_assert_ptr_nonnull(snapshot_draft_modules(draft, &modules));
	ck_assert_uint_eq(modules, 2);
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

START_TEST(a_draft_without_names_tells_module_and_offset)
{
	struct session *session =
		make_session("1000-3000 r-xp 00000000 08:01 11                  /bin/prog\n"
			     "5000-9000 r-xp 00002000 08:01 12                  /lib/libx.so.1\n"
			     "a000-b000 r-xp 00000000 00:00 0                   [vdso]\n");
	write_birth(1, 0x1801, 0x5011);
	write_birth(2, 0x1801, 0x5011);
	write_birth(3, 0x1801, 0x7777777);
	struct snapshot *snapshot = take_snapshot(session);
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

static Suite *suite(void)
{
	Suite *s = suite_create("snapshot_draft");
	TCase *t = tcase_create("snapshot_draft");
	tcase_add_test(t, a_snapshot_within_the_bound_is_kept_whole);
	tcase_add_test(t, past_the_bound_the_smallest_sites_are_folded_into_other);
	tcase_add_test(t, even_one_site_may_be_too_much);
	tcase_add_test(t, a_draft_without_names_tells_module_and_offset);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
