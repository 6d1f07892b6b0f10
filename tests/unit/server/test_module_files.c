/* Opens this very program's files, as those of a worker. */
#include "config.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "server/module_files.h"
#include "server/module_map.h"
#include "server/symbol_client.h"
#include "support/tap_main.h"

#define JOBS 20

static uv_loop_t loop;
static struct symbol_client *client;
static struct module_files *files;
static struct module_map *map;
static struct module_info info;
static int proc_fd;
static unsigned answers;
static uint32_t last_key;
static struct symbol_file last_identity;

static void setup(void)
{
	static char text[65536];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got;
	while (size < sizeof text && (got = read(fd, text + size, sizeof text - size)) > 0)
		size += (size_t)got;
	close(fd);
	ck_assert_int_eq(module_map_new(&map), 0);
	module_map_update(map, text, size, MODULE_MAP_KERNEL, 0);
	info = *module_map_get(map, 0);
	ck_assert_uint_ne(info.inode, 0);
	proc_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(symbol_client_new(&client, &loop, "/nonexistent", NULL), 0);
	ck_assert_int_eq(module_files_new(&files, &loop, client), 0);
	answers = 0;
}

static void teardown(void)
{
	module_files_free(files);
	symbol_client_free(client);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	module_map_free(map);
	close(proc_fd);
}

static void count_answer(const uint32_t *keys, const struct symbol_file *identities, void *data)
{
	ck_assert_ptr_eq(data, &answers);
	answers++;
	last_key = keys[0];
	last_identity = identities[0];
}

static uint64_t begin(void)
{
	uint64_t handle = module_files_open(files, 1000, proc_fd, &info, 1, count_answer, &answers);
	ck_assert_uint_gt(handle, 0);
	return handle;
}

START_TEST(all_who_ask_are_answered_however_many_at_once)
{
	for (unsigned i = 0; i < JOBS; i++)
		begin();
	ck_assert_uint_eq(answers, 0); /* never from inside */
	while (answers < JOBS)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_gt(last_key, 0);
	ck_assert_uint_eq(last_identity.inode, info.inode);
	ck_assert_uint_eq(symbol_client_find(client, &last_identity), last_key);
}
END_TEST

START_TEST(who_cancels_is_not_answered)
{
	uint64_t handles[JOBS];
	for (unsigned i = 0; i < JOBS; i++)
		handles[i] = begin();
	/* The first ones run, the others wait. */
	for (unsigned i = 0; i < JOBS; i += 2)
		module_files_cancel(files, handles[i]);
	while (answers < JOBS / 2)
		uv_run(&loop, UV_RUN_ONCE);
	begin();
	while (answers < JOBS / 2 + 1)
		uv_run(&loop, UV_RUN_ONCE);
	module_files_cancel(files, handles[0]); /* known no more: nothing happens */
}
END_TEST

START_TEST(nobody_is_answered_after_the_end)
{
	for (unsigned i = 0; i < JOBS; i++)
		begin();
	module_files_free(files);
	while (uv_run(&loop, UV_RUN_ONCE) && uv_loop_alive(&loop))
		;
	ck_assert_uint_eq(answers, 0);
	ck_assert_int_eq(module_files_new(&files, &loop, client), 0);
}
END_TEST

START_TEST(a_module_without_a_file_has_no_key)
{
	info.inode = 0;
	info.path = "[vdso]";
	begin();
	while (answers == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(last_key, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("module_files");
	TCase *t = tcase_create("module_files");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_who_ask_are_answered_however_many_at_once);
	tcase_add_test(t, who_cancels_is_not_answered);
	tcase_add_test(t, nobody_is_answered_after_the_end);
	tcase_add_test(t, a_module_without_a_file_has_no_key);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
