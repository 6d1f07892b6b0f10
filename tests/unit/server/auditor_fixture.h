/*
 * auditor and session_audit: from records in a segment that the test writes itself, as if it were
 * the worker, to verdicts of a helper that says what the worker's file tells it to.
 */
#pragma once
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>
#include "server/auditor.h"
#include "server/drain_scheduler.h"
#include "server/module_files.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "server/session_table.h"
#include "server/symbol_client.h"
#include "support/adopt.h"
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
static const struct session_means means;
static struct fake_segment segment;
static struct session *session;
static void *codes[2], *code; /* the worker's, and where the next audit is from */
static char paths[2][64], *path;
static unsigned mapped;

/* What the worker has mapped as code: a file that begins with the word. */
static inline void map_code(const char *word)
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

static inline void attach(void)
{
	session = adopt_self(table, &segment);
}

static inline void begin(const char *word)
{
	map_code(word);
	attach();
}

static inline void set_up(uint32_t stall_ms, const char *program)
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

static inline void find_symbolizer(void)
{
	const char *build = getenv("BUILDDIR");
	snprintf(symbolizer, sizeof symbolizer, "%s/tests/unit/server/fake_symbolizer",
		build ? build : ".");
	ck_assert_ptr_nonnull(realpath(symbolizer, symbolizer_path));
}

static inline void setup(void)
{
	find_symbolizer();
	set_up(30000, symbolizer_path);
}

static inline void teardown(void)
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
static inline struct wire_audit *make_part(uint64_t id, uint16_t offset)
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

static inline void write_part(const struct wire_audit *part)
{
	fake_segment_append(&segment, 0, part, part->record.size);
}

static inline void write_audit(uint64_t id)
{
	write_part(make_part(id, 0));
	write_part(make_part(id, FRAMES * 8));
	write_part(make_part(id, FRAMES * 8 + WIRE_AUDIT_PART_MAX));
}

static inline const struct session_audit_stats *await(uint64_t heard)
{
	const struct session_audit_stats *stats = &session_audit(session)->stats;
	while (stats->heard < heard || stats->pending > 0)
		uv_run(&loop, UV_RUN_ONCE);
	return stats;
}

static inline struct auditor_stats auditor_numbers(void)
{
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	return stats;
}

static inline void hear(uint64_t count)
{
	while (session_audit(session)->stats.heard < count)
		uv_run(&loop, UV_RUN_ONCE);
}
