/*
 * elf_file on damaged files. The fuzz target mutates blindly, which mostly leaves no ELF file; here
 * sizes stay and damage is dosed, so that most files open and the damage is met in symbol tables
 * and DWARF.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "symbolizer/elf_file.h"
#include "places.h"
#include "support/random.h"
#include "support/tap_main.h"

#define ROOM	  64
#define ROUNDS	  1500
#define MAX_BYTES ((size_t)1 << 20)

static struct places places;
static uint8_t original[MAX_BYTES];
static size_t original_size;

static void load(const char *name)
{
	places_read(&places, places_path("fixture-pie"));
	int fd = open(places_path(name), O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, original, sizeof(original));
	ck_assert_int_gt(size, 0);
	ck_assert_uint_lt((size_t)size, sizeof(original));
	original_size = (size_t)size;
	close(fd);
}

static int as_file(const uint8_t *bytes, size_t size)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	return fd;
}

/* Asks about all places and a few other offsets; whether the file could be opened. */
static bool try_file(const uint8_t *bytes, size_t size, struct random *random)
{
	struct elf_file *file;
	struct dwarf_line lines[ROOM];
	if (elf_file_new(&file, as_file(bytes, size)) < 0)
		return false;
	for (size_t i = 0; i < places.count + 8; i++) {
		uint64_t offset =
			i < places.count ? places.items[i].offset : random_below(random, size);
		size_t count = elf_file_resolve(file, offset, lines, ROOM);
		ck_assert_uint_le(count, ROOM);
		for (size_t j = 0; j < count; j++)
			ck_assert_uint_lt(
				strlen(lines[j].function) + strlen(lines[j].file), SIZE_MAX);
	}
	elf_file_free(file);
	return true;
}

static unsigned try_damaged(uint64_t seed, unsigned max_flips, size_t first, size_t end)
{
	static uint8_t damaged[MAX_BYTES];
	struct random random = {seed};
	unsigned opened = 0;
	for (int round = 0; round < ROUNDS; round++) {
		memcpy(damaged, original, original_size);
		for (uint64_t n = 1 + random_below(&random, max_flips); n; n--) {
			size_t at = first + random_below(&random, end - first);
			damaged[at] =
				random_below(&random, 2)
					? damaged[at] ^ (uint8_t)(1u << random_below(&random, 8))
					: (uint8_t)random_next(&random);
		}
		opened += try_file(damaged, original_size, &random);
	}
	return opened;
}

START_TEST(few_damaged_bytes_anywhere)
{
	load("variants/full");
	ck_assert_uint_gt(try_damaged(1, 4, 64, original_size), ROUNDS / 2);
}
END_TEST

START_TEST(many_damaged_bytes_in_symbols_and_dwarf)
{
	load("variants/full"); /* they are in the file's second half */
	ck_assert_uint_gt(
		try_damaged(2, 200, original_size / 2, original_size * 7 / 8), ROUNDS / 2);
}
END_TEST

START_TEST(damaged_headers)
{
	load("variants/full");
	try_damaged(3, 6, 0, 64 + 14 * 56); /* of the file, and of its segments */
	try_damaged(4, 6, original_size - 40 * 64, original_size); /* of its sections */
}
END_TEST

START_TEST(a_damaged_stripped_file)
{
	load("variants/stripped");
	try_damaged(5, 40, 64, original_size);
}
END_TEST

START_TEST(a_file_cut_at_any_length)
{
	struct random random = {6};
	load("variants/full");
	for (size_t size = 0; size < original_size; size += 37)
		try_file(original, size, &random);
}
END_TEST

START_TEST(a_damaged_debug_file_beside_a_sound_program)
{
	struct random random = {7};
	static uint8_t damaged[MAX_BYTES];
	load("variants/linked.debug");
	for (int round = 0; round < ROUNDS; round++) {
		struct elf_file *file;
		struct dwarf_line lines[ROOM];
		memcpy(damaged, original, original_size);
		for (uint64_t n = 1 + random_below(&random, 20); n; n--)
			damaged[random_below(&random, original_size)] =
				(uint8_t)random_next(&random);
		int program = open(places_path("variants/linked"), O_RDONLY | O_CLOEXEC);
		ck_assert_int_eq(elf_file_new(&file, program), 0);
		elf_file_attach_debug(file, as_file(damaged, original_size), NULL);
		for (size_t i = 0; i < places.count; i++)
			elf_file_resolve(file, places.items[i].offset, lines, ROOM);
		elf_file_free(file);
	}
}
END_TEST

START_TEST(noise_behind_a_valid_header)
{
	struct random random = {8};
	static uint8_t noise[1 << 14];
	load("variants/full");
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (uint8_t)random_next(&random);
		memcpy(noise, original, 64 + (round % 2) * 14 * 56);
		try_file(noise, sizeof(noise), &random);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("elf_mutations");
	TCase *t = tcase_create("elf_mutations");
	tcase_set_timeout(t, 60); /* for sanitized builds: seconds otherwise */
	tcase_add_test(t, few_damaged_bytes_anywhere);
	tcase_add_test(t, many_damaged_bytes_in_symbols_and_dwarf);
	tcase_add_test(t, damaged_headers);
	tcase_add_test(t, a_damaged_stripped_file);
	tcase_add_test(t, a_file_cut_at_any_length);
	tcase_add_test(t, a_damaged_debug_file_beside_a_sound_program);
	tcase_add_test(t, noise_behind_a_valid_header);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
