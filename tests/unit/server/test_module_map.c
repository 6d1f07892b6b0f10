/* A worker's mappings change under the records that name them. */
#include "config.h"
#include "server/module_map.h"
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "base/buffer.h"
#include "support/random.h"
#include "support/tap_main.h"

static struct module_map *map;
static uint32_t module;
static uint64_t offset;

static void set_up(void)
{
	ck_assert_int_eq(module_map_new(&map), 0);
}

static void tear_down(void)
{
	map = module_map_free(map);
}

static void update(const char *text, uint32_t epoch)
{
	module_map_update(map, text, strlen(text), MODULE_MAP_KERNEL, epoch);
}

static enum module_map_result resolve(uint64_t address, uint32_t epoch)
{
	module = 77;
	offset = 77;
	return module_map_resolve(map, address, epoch, &module, &offset);
}

static void assert_in(uint64_t address, uint32_t epoch, const char *path, uint64_t expected_offset)
{
	ck_assert_int_eq(resolve(address, epoch), MODULE_MAP_FOUND);
	ck_assert_uint_lt(module, module_map_count(map));
	ck_assert_str_eq(module_map_get(map, module)->path, path);
	ck_assert_uint_eq(offset, expected_offset);
}

static struct module_map_stats stats_now(void)
{
	struct module_map_stats stats;

	module_map_stats(map, &stats);
	return stats;
}

#define MAPS                                                                                       \
	"400000-401000 r--p 00000000 08:01 10 /bin/app\n"                                          \
	"401000-403000 r-xp 00001000 08:01 10 /bin/app\n"                                          \
	"500000-600000 rw-p 00000000 00:00 0 [heap]\n"                                             \
	"700000-701000 rwxp 00000000 00:00 0 \n"                                                   \
	"800000-802000 r-xp 00008000 08:01 11 /lib/a b.so\n"                                       \
	"802000-803000 rw-p 0000a000 08:01 11 /lib/a b.so\n"                                       \
	"900000-901000 r-xp 00000000 00:00 0 [vdso]\n"

START_TEST(an_address_becomes_a_module_and_an_offset_in_its_file)
{
	update(MAPS, 0);
	assert_in(0x401000, 0, "/bin/app", 0x1000);
	assert_in(0x402fff, 0, "/bin/app", 0x2fff);
	assert_in(0x800010, 0, "/lib/a b.so", 0x8010);
	assert_in(0x900123, 0, "[vdso]", 0x123);
	ck_assert_uint_eq(module_map_count(map), 3);
}
END_TEST

START_TEST(addresses_that_no_executable_mapping_holds_are_unknown)
{
	static const uint64_t addresses[] = {0, 0x400fff, 0x403000, 0x500000, 0x6fffff, 0x701000,
		0x7fffff, 0x802000, 0x901000, UINT64_MAX};

	ck_assert_int_eq(resolve(0x401000, 0), MODULE_MAP_UNKNOWN);
	update(MAPS, 0);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		ck_assert_int_eq(resolve(addresses[i], 0), MODULE_MAP_UNKNOWN);
		ck_assert_uint_eq(module, STACK_MODULE_NONE);
		ck_assert_uint_eq(offset, addresses[i]);
	}
}
END_TEST

START_TEST(executable_memory_without_a_file_is_known_to_be_none)
{
	update(MAPS, 0);
	ck_assert_int_eq(resolve(0x700010, 0), MODULE_MAP_FOUND);
	ck_assert_uint_eq(module, STACK_MODULE_NONE);
	ck_assert_uint_eq(offset, 0x700010);
}
END_TEST

START_TEST(only_paths_and_the_vdso_are_modules)
{
	update("1000-2000 r-xp 0 00:00 0 [heap]\n"
	       "2000-3000 r-xp 0 00:00 0 [anon:jit]\n"
	       "3000-4000 r-xp 0 00:00 0 anon_inode:[perf_event]\n"
	       "4000-5000 r-xp 0 00:00 0 [vsyscall]\n"
	       "5000-6000 r-xp 0 00:01 9 /memfd:jit (deleted)\n",
		0);
	ck_assert_uint_eq(module_map_count(map), 1);
	assert_in(0x5000, 0, "/memfd:jit", 0);
}
END_TEST

START_TEST(a_module_tells_its_identity_and_first_executable_mapping)
{
	update("1000-2000 r--p 00000000 08:02 12 /lib/x.so\n"
	       "2000-3000 r-xp 00001000 08:02 12 /lib/x.so\n"
	       "3000-4000 r-xp 00002000 08:02 12 /lib/x.so\n",
		0);
	const struct module_info *info = module_map_get(map, 0);
	ck_assert_uint_eq(module_map_count(map), 1);
	ck_assert_uint_eq(info->device, makedev(8, 2));
	ck_assert_uint_eq(info->inode, 12);
	ck_assert_uint_eq(info->start, 0x2000);
	ck_assert_uint_eq(info->end, 0x3000);
	ck_assert_uint_eq(info->file_offset, 0x1000);
	ck_assert(!info->deleted);
	ck_assert(info->from_kernel);
}
END_TEST

START_TEST(a_deleted_file_is_the_same_module)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/x.so\n", 0);
	update("1000-2000 r-xp 0 08:01 1 /lib/x.so (deleted)\n", 0);
	ck_assert_uint_eq(module_map_count(map), 1);
	ck_assert(module_map_get(map, 0)->deleted);
	assert_in(0x1000, 0, "/lib/x.so", 0);
}
END_TEST

START_TEST(another_file_of_the_same_name_is_another_module)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/x.so\n"
	       "3000-4000 r-xp 0 08:01 2 /lib/x.so\n"
	       "5000-6000 r-xp 0 08:02 1 /lib/x.so\n"
	       "7000-8000 r-xp 0 08:01 1 /lib/y.so\n",
		0);
	ck_assert_uint_eq(module_map_count(map), 4);
}
END_TEST

START_TEST(what_only_the_worker_says_is_marked_until_the_kernel_says_it)
{
	const char *text = "1000-2000 r-xp 0 08:01 1 /lib/x.so\n";

	module_map_update(map, text, strlen(text), MODULE_MAP_WORKER, 0);
	assert_in(0x1000, 0, "/lib/x.so", 0);
	ck_assert(!module_map_get(map, 0)->from_kernel);
	update(text, 0);
	ck_assert(module_map_get(map, 0)->from_kernel);
}
END_TEST

START_TEST(a_stack_keeps_its_module_after_the_library_is_gone)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n3000-4000 r-xp 0 08:01 2 /lib/b.so\n", 0);
	assert_in(0x1500, 0, "/lib/a.so", 0x500);
	uint32_t index = module;
	update("3000-4000 r-xp 0 08:01 2 /lib/b.so\n", 1);
	ck_assert_str_eq(module_map_get(map, index)->path, "/lib/a.so");
	assert_in(0x1500, 0, "/lib/a.so", 0x500);
	ck_assert_uint_eq(module, index);
}
END_TEST

START_TEST(a_library_in_anothers_place_gets_the_new_stacks_only)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	update("1000-1800 r-xp 0 08:01 2 /lib/b.so\n", 1);
	assert_in(0x1400, 0, "/lib/a.so", 0x400); /* drained late */
	assert_in(0x1400, 1, "/lib/b.so", 0x400);
	assert_in(0x1900, 0, "/lib/a.so", 0x900); /* the new one is shorter */
	update("1000-1800 r-xp 0 08:01 2 /lib/b.so\n", 5);
	assert_in(0x1400, 5, "/lib/b.so", 0x400);
	assert_in(0x1400, 1, "/lib/b.so", 0x400);
	assert_in(0x1400, 0, "/lib/a.so", 0x400);
}
END_TEST

START_TEST(a_record_that_knows_of_a_later_dlclose_asks_for_a_newer_text)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	ck_assert_int_eq(resolve(0x1400, 1), MODULE_MAP_STALE);
	ck_assert_uint_eq(module, 0);
	ck_assert_uint_eq(offset, 0x400);
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n", 1);
	assert_in(0x1400, 1, "/lib/a.so", 0x400);
}
END_TEST

START_TEST(an_address_where_a_library_was_before_the_last_dlclose_asks_too)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	update("", 1);
	/* dlopen has put something else there since */
	ck_assert_int_eq(resolve(0x1400, 1), MODULE_MAP_STALE);
	update("1000-2000 r-xp 0 08:01 2 /lib/b.so\n", 1);
	assert_in(0x1400, 1, "/lib/b.so", 0x400);
	assert_in(0x1400, 0, "/lib/a.so", 0x400);
}
END_TEST

START_TEST(a_library_seen_late_gets_the_stacks_from_before_it_was_seen)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n3000-4000 r-xp 0 08:01 2 /lib/b.so\n", 7);
	assert_in(0x3000, 3, "/lib/b.so", 0);
}
END_TEST

START_TEST(when_only_an_older_layer_is_known_the_latest_counts)
{
	update("1000-3000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	update("1800-2000 r-xp 0 08:01 2 /lib/b.so\n", 1);
	update("", 2);
	assert_in(0x17ff, 0, "/lib/a.so", 0x7ff);
	assert_in(0x1800, 1, "/lib/b.so", 0);
	assert_in(0x1fff, 0, "/lib/b.so", 0x7ff);
	assert_in(0x2000, 0, "/lib/a.so", 0x1000);
	assert_in(0x2fff, 0, "/lib/a.so", 0x1fff);
}
END_TEST

START_TEST(splitting_a_mapping_changes_no_answer)
{
	update("1000-4000 r-xp 0 08:01 1 /lib/a.so\n", 0);
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n"
	       "2000-3000 rwxp 1000 08:01 1 /lib/a.so\n"
	       "3000-4000 r-xp 2000 08:01 1 /lib/a.so\n",
		3);
	for (uint32_t epoch = 0; epoch <= 3; epoch++)
		for (uint64_t address = 0x1000; address < 0x4000; address += 0x800)
			assert_in(address, epoch, "/lib/a.so", address - 0x1000);
	ck_assert_uint_eq(module_map_count(map), 1);
}
END_TEST

START_TEST(malformed_and_disordered_lines_are_skipped_and_counted)
{
	update("1000-2000 r-xp 0 08:01 1 /lib/a.so\n"
	       "garbage\n"
	       "1800-2800 r-xp 0 08:01 2 /lib/overlap.so\n"
	       "0500-0600 r-xp 0 08:01 2 /lib/backwards.so\n"
	       "3000-4000 r-xp 0 08:01 3 /lib/b.so\n"
	       "5000-6000 r-xp 0 08:01 4 /lib/cut",
		0);
	ck_assert_uint_eq(stats_now().malformed_lines, 4);
	ck_assert_uint_eq(module_map_count(map), 2);
	assert_in(0x1900, 0, "/lib/a.so", 0x900);
	assert_in(0x3000, 0, "/lib/b.so", 0);
}
END_TEST

START_TEST(ranges_are_bounded)
{
	struct buffer text = BUFFER_INIT;

	for (unsigned round = 0; round < 3; round++) {
		buffer_clear(&text);
		for (uint64_t i = 0; i < MODULE_MAP_MAX_RANGES + 100; i++)
			buffer_printf(&text, "%lx-%lx r-xp %x 8:1 1 /lib/a.so\n",
				i * 8192 + round * 64, i * 8192 + 4096 + round * 64, round);
		module_map_update(map, (char *)text.data, text.size, MODULE_MAP_KERNEL, round);
	}
	ck_assert_uint_ge(stats_now().dropped, 3 * 100);
	ck_assert_uint_eq(stats_now().malformed_lines, 0);
	assert_in(8192 + 256, 2, "/lib/a.so", 256 - 128 + 2);
	assert_in(8192 + 130, 1, "/lib/a.so", 130 - 64 + 1);
	ck_assert_uint_lt(module_map_bytes(map), 4u << 20);
	buffer_deinit(&text);
}
END_TEST

START_TEST(modules_and_their_paths_are_bounded)
{
	struct buffer text = BUFFER_INIT;
	char name[3000];

	for (uint32_t i = 0; i < MODULE_MAP_MAX_RANGES; i++)
		buffer_printf(&text, "%x-%x r-xp 0 8:1 %u /x\n", i * 2, i * 2 + 1, i + 1);
	module_map_update(map, (char *)text.data, text.size, MODULE_MAP_KERNEL, 0);
	ck_assert_uint_eq(module_map_count(map), MODULE_MAP_MAX_MODULES);
	ck_assert_uint_eq(stats_now().dropped, 0);
	update("1000-2000 r-xp 0 8:2 1 /one/more\n", 0);
	ck_assert_uint_eq(stats_now().dropped, 1);
	ck_assert_int_eq(resolve(0x1000, 0), MODULE_MAP_FOUND);
	ck_assert_uint_eq(module, STACK_MODULE_NONE);

	tear_down();
	set_up();
	buffer_clear(&text);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (uint32_t i = 0; i < 1000; i++)
		buffer_printf(&text, "%x-%x r-xp 0 8:1 %u /%s\n", i * 2, i * 2 + 1, i + 1, name);
	module_map_update(map, (char *)text.data, text.size, MODULE_MAP_KERNEL, 0);
	ck_assert_uint_gt(module_map_count(map), 100);
	ck_assert_uint_gt(stats_now().dropped, 100);
	ck_assert_uint_lt(module_map_bytes(map), 2u << 20);
	buffer_deinit(&text);
}
END_TEST

START_TEST(a_path_longer_than_any_can_be_is_no_module)
{
	struct buffer text = BUFFER_INIT;

	buffer_puts(&text, "1000-2000 r-xp 0 8:1 1 /");
	for (unsigned i = 0; i < 5000; i++)
		buffer_putc(&text, 'x');
	buffer_puts(&text, "\n2000-3000 r-xp 0 8:1 2 /lib/a.so\n");
	module_map_update(map, (char *)text.data, text.size, MODULE_MAP_KERNEL, 0);
	ck_assert_int_eq(resolve(0x1000, 0), MODULE_MAP_FOUND);
	ck_assert_uint_eq(module, STACK_MODULE_NONE);
	assert_in(0x2000, 0, "/lib/a.so", 0);
	buffer_deinit(&text);
}
END_TEST

START_TEST(what_lies_behind_a_text_that_was_cut_stays_mapped)
{
	static const char beginning[] = "401000-403000 r-xp 00001000 08:01 12 /bin/other\n"
					"700000-701000 r--p 00000000 08:01 13 /bin/data\n"
					"800000-80";
	update(MAPS, 3);
	module_map_update_beginning(map, beginning, strlen(beginning), MODULE_MAP_KERNEL, 4);
	assert_in(0x401010, 4, "/bin/other", 0x1010);
	assert_in(0x800010, 4, "/lib/a b.so", 0x8010);
	/* What the text did come to is gone, if it does not name it. */
	update("400000-401000 r-xp 00000000 08:01 12 /bin/other\n", 5);
	ck_assert_int_eq(resolve(0x800010, 5), MODULE_MAP_STALE);
}
END_TEST

START_TEST(an_empty_text_is_one)
{
	module_map_update(map, NULL, 0, MODULE_MAP_KERNEL, 0);
	ck_assert_uint_eq(module_map_count(map), 0);
	ck_assert_uint_eq(stats_now().malformed_lines, 0);
}
END_TEST

/* Layers of random mappings against an array with one entry per page. */

#define PAGES 64

static struct random dice;

START_TEST(random_histories_agree_with_a_plain_list_of_pages)
{
	int now[PAGES], before[PAGES]; /* inode, 0: none */
	uint32_t first[PAGES], last[PAGES];

	dice.state = (uint64_t)_i;
	memset(now, 0, sizeof(now));
	memset(before, 0, sizeof(before));
	for (uint32_t epoch = 0; epoch < 60; epoch++) {
		struct buffer text = BUFFER_INIT;
		int fresh[PAGES] = {0};

		/* one page per mapping, so that pages are independent of each other */
		for (uint32_t page = 0; page < PAGES; page++) {
			fresh[page] =
				random_below(&dice, 2) ? now[page] : (int)random_below(&dice, 4);
			if (fresh[page])
				buffer_printf(&text, "%x-%x r-xp 0 8:1 %d /lib/%d\n", page * 4096,
					page * 4096 + 4096, fresh[page], fresh[page]);
		}
		module_map_update(map, (char *)text.data, text.size, MODULE_MAP_KERNEL, epoch);
		for (uint32_t page = 0; page < PAGES; page++) {
			if (fresh[page] != now[page]) {
				if (now[page]) {
					before[page] = now[page];
					last[page] = epoch - 1;
				}
				first[page] = epoch;
				now[page] = fresh[page];
			}
			uint32_t asked = random_below(&dice, epoch + 1);
			bool use_before =
				before[page] &&
				(!now[page] || (asked < first[page] && asked <= last[page]));
			int expected = use_before ? before[page] : now[page];
			enum module_map_result r = resolve(page * 4096 + 5, asked);
			if (!expected) {
				ck_assert_int_eq(r, MODULE_MAP_UNKNOWN);
				continue;
			}
			ck_assert_int_eq(module_map_get(map, module)->inode, expected);
			ck_assert_uint_eq(offset, 5);
			ck_assert_int_eq(r, use_before && asked > last[page] ? MODULE_MAP_STALE
									     : MODULE_MAP_FOUND);
		}
		buffer_deinit(&text);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("module_map");
	TCase *t = tcase_create("module_map");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, an_address_becomes_a_module_and_an_offset_in_its_file);
	tcase_add_test(t, addresses_that_no_executable_mapping_holds_are_unknown);
	tcase_add_test(t, executable_memory_without_a_file_is_known_to_be_none);
	tcase_add_test(t, only_paths_and_the_vdso_are_modules);
	tcase_add_test(t, a_module_tells_its_identity_and_first_executable_mapping);
	tcase_add_test(t, a_deleted_file_is_the_same_module);
	tcase_add_test(t, another_file_of_the_same_name_is_another_module);
	tcase_add_test(t, what_only_the_worker_says_is_marked_until_the_kernel_says_it);
	tcase_add_test(t, a_stack_keeps_its_module_after_the_library_is_gone);
	tcase_add_test(t, a_library_in_anothers_place_gets_the_new_stacks_only);
	tcase_add_test(t, a_record_that_knows_of_a_later_dlclose_asks_for_a_newer_text);
	tcase_add_test(t, an_address_where_a_library_was_before_the_last_dlclose_asks_too);
	tcase_add_test(t, a_library_seen_late_gets_the_stacks_from_before_it_was_seen);
	tcase_add_test(t, when_only_an_older_layer_is_known_the_latest_counts);
	tcase_add_test(t, splitting_a_mapping_changes_no_answer);
	tcase_add_test(t, malformed_and_disordered_lines_are_skipped_and_counted);
	tcase_add_test(t, ranges_are_bounded);
	tcase_add_test(t, modules_and_their_paths_are_bounded);
	tcase_add_test(t, a_path_longer_than_any_can_be_is_no_module);
	tcase_add_test(t, what_lies_behind_a_text_that_was_cut_stays_mapped);
	tcase_add_test(t, an_empty_text_is_one);
	tcase_add_loop_test(t, random_histories_agree_with_a_plain_list_of_pages, 0, 8);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
