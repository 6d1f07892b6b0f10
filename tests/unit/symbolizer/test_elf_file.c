/* elf_file on a program that knows where its functions are, in the forms in which programs are
 * shipped. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>
#include <elf.h>
#include <link.h>
#include "symbolizer/demangle.h"
#include "symbolizer/elf_file.h"
#include "places.h"
#include "support/tap_main.h"

#define ROOM 64

static struct places places;

static void setup(void)
{
	places_read(&places, places_path("fixture-pie"));
}

static struct elf_file *open_file(const char *name)
{
	struct elf_file *file;
	int fd = open(places_path(name), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(elf_file_new(&file, fd), 0);
	return file;
}

static const char *readable(const char *symbol)
{
	static char text[1024];
	demangle_name(symbol, text, sizeof(text));
	return text;
}

static void assert_place(struct elf_file *file, const struct place *place)
{
	struct dwarf_line lines[ROOM];
	size_t count = elf_file_resolve(file, place->offset, lines, ROOM);
	ck_assert_uint_eq(count, place->line_count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_str_eq(readable(lines[i].function), place->lines[i].function);
		ck_assert_uint_eq(lines[i].line, place->lines[i].line);
		ck_assert_ptr_nonnull(strstr(lines[i].file, "/place_c"));
	}
}

static void assert_all_places(struct elf_file *file)
{
	for (size_t i = 0; i < places.count; i++)
		assert_place(file, &places.items[i]);
	elf_file_free(file);
}

/* Only the function's own name is known. */
static void assert_symbol(struct elf_file *file, const char *function)
{
	struct dwarf_line line;
	const struct place *place = places_find(&places, function);
	ck_assert_uint_eq(elf_file_resolve(file, place->offset, &line, 1), 1);
	ck_assert_str_eq(readable(line.function), function);
	ck_assert_str_eq(line.file, "");
	ck_assert_uint_eq(line.line, 0);
}

static void assert_nameless(struct elf_file *file, const char *function)
{
	struct dwarf_line line;
	const struct place *place = places_find(&places, function);
	ck_assert_uint_eq(elf_file_resolve(file, place->offset, &line, 1), 0);
}

START_TEST(finds_functions_lines_and_inlined_calls_of_a_pie)
{
	assert_all_places(open_file("fixture-pie"));
}
END_TEST

START_TEST(finds_the_same_in_a_program_at_a_fixed_address_with_dwarf_4)
{
	places_read(&places, places_path("fixture-exec"));
	assert_all_places(open_file("fixture-exec"));
}
END_TEST

START_TEST(finds_units_without_aranges)
{
	assert_all_places(open_file("variants/no-aranges"));
}
END_TEST

START_TEST(reads_compressed_debug_sections)
{
	assert_all_places(open_file("variants/compressed"));
}
END_TEST

START_TEST(a_stripped_program_has_the_names_it_exports_and_no_others)
{
	struct elf_file *file = open_file("variants/stripped");
	ck_assert(!elf_file_links(file)->has_dwarf);
	assert_symbol(file, "fixture_outer");
	assert_symbol(file, "fixture_plain"); /* not its weak or underscored alias */
	assert_nameless(file, "fixture_static");
	elf_file_free(file);
}
END_TEST

START_TEST(a_minimal_symbol_table_names_static_functions)
{
	if (access(places_path("variants/mini"), F_OK) < 0) {
		printf("# skipped: xz is not installed\n");
		return;
	}
	struct elf_file *file = open_file("variants/mini");
	assert_symbol(file, "fixture_static");
	assert_symbol(file, "fixture_outer");
	elf_file_free(file);
}
END_TEST

START_TEST(a_debug_file_of_the_same_build_id_gives_all_places)
{
	struct elf_links links;
	struct elf_file *file = open_file("variants/linked");
	ck_assert_str_eq(elf_file_links(file)->debug_link, "linked.debug");
	ck_assert_uint_gt(elf_file_links(file)->build_id.size, 0);
	int fd = open(places_path("variants/linked.debug"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_debug(file, fd, &links), 0);
	ck_assert(links.has_dwarf);
	assert_all_places(file);
}
END_TEST

START_TEST(a_debug_file_of_another_build_id_is_refused)
{
	struct elf_file *file = open_file("variants/linked");
	int fd = open(places_path("fixture-exec"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_debug(file, fd, NULL), -ENOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* it was taken over */
	assert_symbol(file, "fixture_outer");
	elf_file_free(file);
}
END_TEST

START_TEST(without_a_build_id_the_checksum_decides)
{
	struct elf_file *file = open_file("variants/anonymous");
	ck_assert_uint_eq(elf_file_links(file)->build_id.size, 0);
	int wrong = open(places_path("variants/linked.debug"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_debug(file, wrong, NULL), -ENOEXEC);
	int right = open(places_path("variants/anonymous.debug"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_debug(file, right, NULL), 0);
	assert_all_places(file);
}
END_TEST

START_TEST(what_dwz_moved_out_is_read_from_its_supplement)
{
	if (access(places_path("variants/common.debug"), F_OK) < 0) {
		printf("# skipped: dwz is not installed\n");
		return;
	}
	struct elf_file *file = open_file("variants/shared");
	ck_assert_str_eq(elf_file_links(file)->supplement_path, "../.dwz/common.debug");
	int wrong = open(places_path("variants/full"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_supplement(file, wrong), -ENOEXEC);
	int right = open(places_path("variants/common.debug"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_supplement(file, right), 0);
	assert_all_places(file);
}
END_TEST

START_TEST(debug_information_cannot_be_attached_after_the_first_answer)
{
	struct dwarf_line line;
	struct elf_file *file = open_file("variants/linked");
	elf_file_resolve(file, places.items[0].offset, &line, 1);
	int fd = open(places_path("variants/linked.debug"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(elf_file_attach_debug(file, fd, NULL), -EBUSY);
	elf_file_free(file);
}
END_TEST

/* A program's bytes in memory that can be changed, as a file. */
static int copy_of(const char *name, uint8_t **image, size_t *size)
{
	int from = open(places_path(name), O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("copy", MFD_CLOEXEC);
	*size = (size_t)lseek(from, 0, SEEK_END);
	ck_assert_int_eq(ftruncate(fd, (off_t)*size), 0);
	*image = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(*image, MAP_FAILED);
	ck_assert_int_eq(pread(from, *image, *size, 0), (ssize_t)*size);
	close(from);
	return fd;
}

START_TEST(exported_names_are_found_without_section_headers)
{
	uint8_t *image;
	size_t size;
	struct elf_file *file;
	int fd = copy_of("variants/stripped", &image, &size);
	ElfW(Ehdr) *header = (void *)image;
	header->e_shoff = 0;
	header->e_shnum = header->e_shstrndx = 0;
	ck_assert_int_eq(elf_file_new(&file, fd), 0);
	assert_symbol(file, "fixture_outer");
	assert_nameless(file, "fixture_static");
	elf_file_free(file);
	munmap(image, size);
}
END_TEST

START_TEST(an_offset_outside_of_all_segments_has_no_name)
{
	struct dwarf_line line;
	struct elf_file *file = open_file("fixture-pie");
	ck_assert_uint_eq(elf_file_resolve(file, UINT64_MAX, &line, 1), 0);
	ck_assert_uint_eq(elf_file_resolve(file, (uint64_t)1 << 40, &line, 1), 0);
	ck_assert_uint_eq(elf_file_resolve(file, 0, &line, 0), 0);
	elf_file_free(file);
}
END_TEST

START_TEST(the_vdso_is_a_file_like_any_other)
{
	const uint8_t *vdso = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	if (!vdso) {
		printf("# skipped: this kernel has no vdso\n");
		return;
	}
	const ElfW(Ehdr) *header = (const void *)vdso;
	size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	int fd = memfd_create("vdso", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, vdso, size), (ssize_t)size);
	struct elf_file *file;
	ck_assert_int_eq(elf_file_new(&file, fd), 0);
	bool found = false;
	for (uint64_t offset = 0; offset < size && !found; offset += 16) {
		struct dwarf_line lines[ROOM];
		size_t count = elf_file_resolve(file, offset, lines, ROOM);
		found = count && strstr(lines[count - 1].function, "clock_gettime");
	}
	ck_assert(found);
	elf_file_free(file);
}
END_TEST

START_TEST(what_is_not_an_elf_program_is_refused)
{
	struct elf_file *file;
	int fd = memfd_create("text", MFD_CLOEXEC);
	ck_assert_int_eq(elf_file_new(&file, dup(fd)), -ENOEXEC); /* empty */
	ck_assert_int_eq(write(fd, "#!/bin/sh\nexit 0\n", 17), 17);
	ck_assert_int_eq(elf_file_new(&file, dup(fd)), -ENOEXEC);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(pwrite(fd, ELFMAG, SELFMAG, 0), SELFMAG);
	ck_assert_int_eq(elf_file_new(&file, fd), -ENOEXEC);
	uint8_t *image;
	size_t size;
	int object = copy_of("fixture-pie", &image, &size);
	((ElfW(Ehdr) *)image)->e_type = ET_REL;
	ck_assert_int_eq(elf_file_new(&file, object), -ENOEXEC);
	munmap(image, size);
}
END_TEST

START_TEST(what_is_not_a_regular_file_is_refused)
{
	int ends[2];
	struct elf_file *file;
	ck_assert_int_eq(pipe(ends), 0);
	ck_assert_int_eq(elf_file_new(&file, ends[0]), -EINVAL);
	ck_assert_int_eq(elf_file_new(&file, open("/", O_RDONLY | O_CLOEXEC)), -EINVAL);
	close(ends[1]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("elf_file");
	TCase *t = tcase_create("elf_file");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, finds_functions_lines_and_inlined_calls_of_a_pie);
	tcase_add_test(t, finds_the_same_in_a_program_at_a_fixed_address_with_dwarf_4);
	tcase_add_test(t, finds_units_without_aranges);
	tcase_add_test(t, reads_compressed_debug_sections);
	tcase_add_test(t, a_stripped_program_has_the_names_it_exports_and_no_others);
	tcase_add_test(t, a_minimal_symbol_table_names_static_functions);
	tcase_add_test(t, a_debug_file_of_the_same_build_id_gives_all_places);
	tcase_add_test(t, a_debug_file_of_another_build_id_is_refused);
	tcase_add_test(t, without_a_build_id_the_checksum_decides);
	tcase_add_test(t, what_dwz_moved_out_is_read_from_its_supplement);
	tcase_add_test(t, debug_information_cannot_be_attached_after_the_first_answer);
	tcase_add_test(t, exported_names_are_found_without_section_headers);
	tcase_add_test(t, an_offset_outside_of_all_segments_has_no_name);
	tcase_add_test(t, the_vdso_is_a_file_like_any_other);
	tcase_add_test(t, what_is_not_an_elf_program_is_refused);
	tcase_add_test(t, what_is_not_a_regular_file_is_refused);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
