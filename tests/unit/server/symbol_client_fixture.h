/* symbol_client: with the real symbolizer on a program that knows its places, and with a fake one
 * that misbehaves on demand. */
#pragma once
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include "server/symbol_client.h"
#include "support/tap_main.h"

#define LONG_MS 20000 /* stands for "until it is answered" */

static uv_loop_t loop;
static struct symbol_client *client;
static unsigned calls; /* of done */

static inline const char *in_build_tree(const char *name)
{
	static char path[4096];
	const char *build = getenv("BUILDDIR");
	snprintf(path, sizeof(path), "%s/%s", build ? build : ".", name);
	return path;
}

static inline void setup(void)
{
	calls = 0;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

/* Everything ends: no handle keeps the loop, no child is left. */
static inline void teardown(void)
{
	client = symbol_client_free(client);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static inline void use(const char *program, const struct symbol_client_options *options)
{
	ck_assert_int_eq(symbol_client_new(&client, &loop, program, options), 0);
}

static inline void use_real(void)
{
	use(in_build_tree("spprof-symbolizer"), NULL);
}

static inline void use_fake(void)
{
	use(in_build_tree("tests/unit/server/fake_symbolizer"), NULL);
}

static inline struct symbol_file identity_of(int fd)
{
	struct stat st;
	ck_assert_int_eq(fstat(fd, &st), 0);
	return (struct symbol_file){.device = st.st_dev,
		.inode = st.st_ino,
		.mtime_ns = (uint64_t)st.st_mtim.tv_nsec,
		.size = (uint64_t)st.st_size};
}

static inline uint32_t add_fd(int fd)
{
	struct symbol_file identity = identity_of(fd);
	uint32_t key = symbol_client_file(client, &identity, fd);
	ck_assert_uint_gt(key, 0);
	return key;
}

static inline uint32_t add_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return add_fd(fd);
}

/* For the fake symbolizer. */
static inline uint32_t add_word(const char *word)
{
	int fd = memfd_create("word", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, word, strlen(word)), (ssize_t)strlen(word));
	return add_fd(fd);
}

static inline struct symbol_client_stats stats(void)
{
	struct symbol_client_stats now;
	symbol_client_stats(client, &now);
	return now;
}

static inline void on_done(void *data)
{
	(void)data;
	calls++;
	uv_stop(&loop);
}

static inline uint64_t begin(const struct symbol_query *queries, size_t count, uint32_t timeout_ms)
{
	unsigned before = calls;
	uint64_t handle = symbol_client_resolve(client, queries, count, timeout_ms, on_done, NULL);
	ck_assert_uint_gt(handle, 0);
	ck_assert_uint_eq(calls, before); /* not from inside the call */
	return handle;
}

static inline void await_calls(unsigned wanted)
{
	while (calls < wanted)
		uv_run(&loop, UV_RUN_DEFAULT);
}

static inline void resolve(const struct symbol_query *queries, size_t count, uint32_t timeout_ms)
{
	unsigned wanted = calls + 1;
	begin(queries, count, timeout_ms);
	await_calls(wanted);
	ck_assert_uint_eq(calls, wanted);
}

static inline void resolve_one(uint32_t file, uint64_t offset)
{
	resolve(&(struct symbol_query){file, offset}, 1, LONG_MS);
}

static inline void assert_named(uint32_t file, uint64_t offset, const char *function)
{
	struct symbol_lines lines;
	ck_assert_int_eq(symbol_client_lookup(client, file, offset, &lines), 1);
	ck_assert_uint_eq(lines.line_count, 1);
	ck_assert_str_eq(lines.lines[0].function, function);
}

static inline void assert_state(uint32_t file, uint64_t offset, int wanted)
{
	struct symbol_lines lines;
	ck_assert_int_eq(symbol_client_lookup(client, file, offset, &lines), wanted);
}
