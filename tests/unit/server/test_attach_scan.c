/* attach_scan: whose turns are taken by looks that somebody asks for. */
#define _GNU_SOURCE
#include "config.h"
#include "server/attach_scan.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "server/drain_scheduler.h"
#include "server/options.h"
#include "server/process_handle.h"
#include "server/process_reader.h"
#include "server/process_texts.h"
#include "server/session.h"
#include "server/session_table.h"
#include "support/silent_helper.h"
#include "support/tap_main.h"

enum { ASKER = 12345, LOOKS = 5 };

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct session_table *table;
static struct process_reader *reader;
static struct attach_scan *scan;
static struct process_handle self;
static struct process_ask ask;
static char script[] = "/tmp/spprof-test-helper-XXXXXX";

/* With helpers that say nothing for as long as the test likes. */
static void setup(void)
{
	static const struct session_means means;
	const struct process_reader_options options = {.program = script, .stall_ms = 600000};
	silent_helper_make(script);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(
		session_table_new(&table, &loop, scheduler, &means, &options_default_limits), 0);
	ck_assert_int_eq(process_reader_new(&reader, &loop, &options), 0);
	ck_assert_int_eq(attach_scan_new(&scan, &loop, table, reader, "/nonexistent"), 0);
	ck_assert_int_eq(process_handle_open(&self, getpid(), -1), 0);
}

static void teardown(void)
{
	process_reader_forget(&ask);
	attach_scan_free(scan);
	process_reader_free(reader);
	session_table_free(table);
	drain_scheduler_free(scheduler);
	process_handle_close(&self);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	unlink(script);
}

static void on_looked(enum attach_scan_result result, void *data)
{
	(void)result;
	(void)data;
}

static void on_read(struct process_texts *texts, void *data)
{
	(void)data;
	process_texts_free(texts);
}

START_TEST(who_asks_for_another_users_process_takes_turns_of_its_own)
{
	struct attach_scan_stats stats = {0};
	for (int i = 0; i < LOOKS; i++)
		attach_scan_process(scan, getpid(), ASKER, on_looked, NULL);
	while (stats.processes_looked_at < LOOKS) {
		uv_run(&loop, UV_RUN_ONCE);
		attach_scan_stats(scan, &stats);
	}
	/* As the looks would count if they were the owner's: those at root's have turns apart. */
	ask = (struct process_ask){.uid = geteuid() == 0 ? (uid_t)-2 : geteuid(),
		.files = PROC_FILE_BIT(PROC_FILE_MAPS),
		.done = on_read};
	ck_assert_int_eq(process_reader_ask(reader, &ask, &self), 0);
	ck_assert_ptr_nonnull(ask.place);
	struct process_ask theirs = {.uid = ASKER, .files = ask.files, .done = on_read};
	ck_assert_int_eq(process_reader_ask(reader, &theirs, &self), 0);
	ck_assert_ptr_null(theirs.place);
	process_reader_forget(&theirs);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("attach_scan");
	TCase *t = tcase_create("attach_scan");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, who_asks_for_another_users_process_takes_turns_of_its_own);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
