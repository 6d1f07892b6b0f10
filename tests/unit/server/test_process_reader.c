/* process_reader: what the real helper tells of processes, and what becomes of asks whose helper does not answer. */
#define _GNU_SOURCE
#include "config.h"
#include "server/process_reader.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>
#include "server/process_handle.h"
#include "server/process_texts.h"
#include "support/silent_helper.h"
#include "support/tap_main.h"

enum { ASKS = 12 };

static uv_loop_t loop;
static struct process_reader *reader;
static struct process_handle self;
static struct process_ask asks[ASKS];
static struct process_texts *answers[ASKS];
static unsigned answered;
static char script[] = "/tmp/spprof-test-helper-XXXXXX";

static void use(const char *program, uint32_t stall_ms)
{
	const struct process_reader_options options = {.program = program, .stall_ms = stall_ms};
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(process_reader_new(&reader, &loop, &options), 0);
	ck_assert_int_eq(process_handle_open(&self, getpid(), -1), 0);
}

static void use_real(void)
{
	char program[4096];
	const char *build = getenv("BUILDDIR");
	snprintf(program, sizeof program, "%s/spprof-proc-reader", build ? build : ".");
	use(program, 30000);
}

/* A helper that says nothing for as long as the test likes. */
static void use_silent(uint32_t stall_ms)
{
	silent_helper_make(script);
	use(script, stall_ms);
}

static void teardown(void)
{
	for (int i = 0; i < ASKS; i++) {
		process_reader_forget(&asks[i]);
		answers[i] = process_texts_free(answers[i]);
	}
	process_reader_free(reader);
	process_handle_close(&self);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	unlink(script);
}

static void on_read(struct process_texts *texts, void *data)
{
	answers[(struct process_ask *)data - asks] = texts;
	answered++;
}

static int ask(int i, uid_t uid, uint32_t files)
{
	asks[i] =
		(struct process_ask){.uid = uid, .files = files, .done = on_read, .data = &asks[i]};
	return process_reader_ask(reader, &asks[i], &self);
}

static struct process_reader_stats stats(void)
{
	struct process_reader_stats stats;
	process_reader_stats(reader, &stats);
	return stats;
}

static void await(unsigned count)
{
	while (answered < count)
		uv_run(&loop, UV_RUN_ONCE);
}

static const char *text_of(int i, enum proc_file file, size_t *size)
{
	const char *text = process_texts_get(answers[i], file, size);
	ck_assert_msg(text != NULL, "file %d: %s", (int)file,
		strerror(-process_texts_result(answers[i], file)));
	ck_assert_int_eq(text[*size], '\0');
	return text;
}

START_TEST(all_files_of_a_process_come_whole)
{
	size_t size;
	char line[64];
	uint32_t all = PROC_FILE_BIT(PROC_FILES) - 1 - PROC_FILE_BIT(PROC_FILE_SEGMENTS);
	int segment = memfd_create("spprof-segment", MFD_CLOEXEC);
	use_real();
	ck_assert_int_eq(ask(0, 1, all), 0);
	ck_assert_int_eq(ask(1, 1, PROC_FILE_BIT(PROC_FILE_SEGMENTS)), 0);
	ck_assert_uint_eq(answered, 0); /* never from inside */
	await(2);
	for (unsigned i = 0; i < PROC_FILES; i++)
		if ((all & PROC_FILE_BIT(i)) && !proc_file_is_passed(i))
			text_of(0, i, &size);
	ck_assert_ptr_nonnull(strstr(text_of(0, PROC_FILE_CMDLINE, &size), "test_process_reader"));
	ck_assert_ptr_nonnull(strstr(text_of(0, PROC_FILE_STATUS, &size), "\nUid:"));
	snprintf(line, sizeof line, "%d (", (int)getpid());
	ck_assert_int_eq(strncmp(text_of(0, PROC_FILE_STAT, &size), line, strlen(line)), 0);
	text_of(0, PROC_FILE_EXE_ID, &size);
	ck_assert_uint_eq(size, sizeof(struct proc_file_id));
	/* Larger than a piece, and read to its last line. */
	const char *maps = text_of(0, PROC_FILE_MAPS, &size);
	ck_assert_ptr_nonnull(strstr(maps, "[stack]"));
	ck_assert_int_eq(maps[size - 1], '\n');
	/* What was not asked for is not there. */
	ck_assert_int_eq(process_texts_result(answers[1], PROC_FILE_MAPS), -ETIMEDOUT);
	struct stat st;
	ck_assert_int_eq(fstat(segment, &st), 0);
	ck_assert(process_texts_holds(answers[1], st.st_dev, st.st_ino));
	ck_assert_uint_eq(stats().deaths, 0);
	close(segment);
}
END_TEST

START_TEST(the_memory_comes_as_a_descriptor)
{
	static const char here[] = "what stands here";
	char there[sizeof here];
	use_real();
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_MEMORY)), 0);
	await(1);
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_MEMORY), 0);
	ck_assert_int_ge(answers[0]->memory_fd, 0);
	ck_assert_int_eq(pread(answers[0]->memory_fd, there, sizeof there, (off_t)(uintptr_t)here),
		sizeof there);
	ck_assert_str_eq(there, here);
}
END_TEST

START_TEST(of_a_process_without_segments_nothing_else_is_read)
{
	size_t size;
	use_real();
	ck_assert_int_eq(
		ask(0, 1, PROC_FILE_BIT(PROC_FILE_SEGMENTS) | PROC_FILE_BIT(PROC_FILE_STATUS)), 0);
	await(1);
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_SEGMENTS), 0);
	ck_assert_uint_eq(answers[0]->segment_count, 0);
	ck_assert_ptr_null(process_texts_get(answers[0], PROC_FILE_STATUS, &size));
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_STATUS), -ENODATA);
}
END_TEST

START_TEST(a_helper_is_kept_for_the_next)
{
	use_real();
	for (unsigned i = 0; i < ASKS; i++) {
		ck_assert_int_eq(ask((int)i, 1, PROC_FILE_BIT(PROC_FILE_COMM)), 0);
		await(i + 1);
	}
	ck_assert_uint_eq(stats().starts, 1);
	ck_assert_uint_eq(stats().asks, ASKS);
}
END_TEST

START_TEST(a_process_that_has_ended_is_told_as_such)
{
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	use_real();
	process_handle_close(&self);
	ck_assert_int_eq(process_handle_open(&self, child, -1), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_STATUS)), 0);
	await(1);
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_STATUS), -ESRCH);
}
END_TEST

START_TEST(an_ask_without_an_answer_ends_and_so_does_its_helper)
{
	use_silent(300);
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_MAPS)), 0);
	await(1);
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_MAPS), -ETIMEDOUT);
	ck_assert_uint_eq(stats().timeouts, 1);
	while (stats().lingering > 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(stats().busy, 0);
}
END_TEST

START_TEST(whoever_gets_no_answer_holds_half_and_others_have_their_turn)
{
	use_silent(30000);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(ask(i, 1, PROC_FILE_BIT(PROC_FILE_MAPS)), 0);
	ck_assert_uint_eq(stats().busy, PROCESS_READERS / 2);
	ck_assert_int_eq(ask(5, 2, PROC_FILE_BIT(PROC_FILE_MAPS)), 0);
	ck_assert_int_eq(ask(6, 3, PROC_FILE_BIT(PROC_FILE_MAPS)), 0);
	ck_assert_uint_eq(stats().busy, PROCESS_READERS);
	ck_assert_ptr_nonnull(asks[5].place);
	ck_assert_ptr_nonnull(asks[6].place);
	ck_assert_uint_eq(stats().waiting, 3);
	/* What waits too long is told so, while the others go on. */
	await(3);
	ck_assert_uint_eq(stats().unread, 3);
	ck_assert_uint_eq(stats().busy, PROCESS_READERS);
}
END_TEST

START_TEST(what_was_forgotten_is_not_told_and_keeps_its_helper)
{
	use_silent(600);
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_MAPS)), 0);
	process_reader_forget(&asks[0]);
	ck_assert_ptr_null(asks[0].reader);
	ck_assert_uint_eq(stats().busy, 1);
	while (stats().timeouts == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(answered, 0);
}
END_TEST

START_TEST(a_helper_that_ends_tells_nothing)
{
	size_t size;
	use("/bin/true", 30000);
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_COMM)), 0);
	await(1);
	ck_assert_ptr_null(process_texts_get(answers[0], PROC_FILE_COMM, &size));
	ck_assert_uint_eq(stats().deaths, 1);
}
END_TEST

START_TEST(a_helper_that_cannot_be_started_tells_nothing)
{
	use("/nonexistent", 30000);
	ck_assert_int_eq(ask(0, 1, PROC_FILE_BIT(PROC_FILE_COMM)), 0);
	await(1);
	ck_assert_int_eq(process_texts_result(answers[0], PROC_FILE_COMM), -ETIMEDOUT);
	ck_assert_uint_eq(stats().starts, 0);
}
END_TEST

START_TEST(without_a_reader_or_a_process_nothing_is_asked)
{
	use_real();
	ck_assert_int_eq(process_reader_ask(NULL, &asks[0], &self), -ENOSYS);
	const struct process_handle gone = PROCESS_HANDLE_INIT;
	ck_assert_int_eq(process_reader_ask(reader, &asks[0], &gone), -ESRCH);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("process_reader");
	TCase *t = tcase_create("process_reader");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, all_files_of_a_process_come_whole);
	tcase_add_test(t, the_memory_comes_as_a_descriptor);
	tcase_add_test(t, of_a_process_without_segments_nothing_else_is_read);
	tcase_add_test(t, a_helper_is_kept_for_the_next);
	tcase_add_test(t, a_process_that_has_ended_is_told_as_such);
	tcase_add_test(t, an_ask_without_an_answer_ends_and_so_does_its_helper);
	tcase_add_test(t, whoever_gets_no_answer_holds_half_and_others_have_their_turn);
	tcase_add_test(t, what_was_forgotten_is_not_told_and_keeps_its_helper);
	tcase_add_test(t, a_helper_that_ends_tells_nothing);
	tcase_add_test(t, a_helper_that_cannot_be_started_tells_nothing);
	tcase_add_test(t, without_a_reader_or_a_process_nothing_is_asked);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
