/* The list of objects against the loader's own answers, and what it says while they change. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind/object_list.h"
#include "unwind/objects.h"
#include "unwind_judge.h"
#include "unwind_lib.h"

static void set_up(void)
{
	objects_init();
	ck_assert(object_list_init());
}

static void assert_known(uintptr_t pc)
{
	struct cfi_object ours, theirs;
	ck_assert_int_eq(objects_find(pc, &theirs), 0);
	ck_assert_int_eq(object_list_find(pc, &ours), 0);
	ck_assert_uint_eq(ours.frame_header, theirs.frame_header);
	if (ours.frame_header) {
		ck_assert_uint_ge(ours.frame_header, ours.start);
		ck_assert_uint_lt(ours.frame_header, ours.end);
	}
}

static unsigned objects, unknown;

/* A pc every 256 bytes of an object's code, and one on each side of it. */
static int ask_for_code(struct dl_phdr_info *object, size_t size, void *argument)
{
	struct cfi_object found;
	(void)size, (void)argument;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *code = &object->dlpi_phdr[i];
		if (code->p_type != PT_LOAD || !(code->p_flags & PF_X))
			continue;
		uintptr_t start = object->dlpi_addr + code->p_vaddr, end = start + code->p_memsz;
		for (uintptr_t pc = start; pc < end; pc += 256)
			assert_known(pc);
		assert_known(end - 1);
		unknown += object_list_find(start - 1, &found) == -ENOENT;
		unknown += object_list_find(end, &found) == -ENOENT;
		objects++;
	}
	return 0;
}

START_TEST(the_list_knows_all_code_as_the_loader_does)
{
	dl_iterate_phdr(ask_for_code, NULL);
	ck_assert_uint_ge(objects, 4);
	ck_assert_uint_eq(unknown, 2 * objects);
}
END_TEST

START_TEST(without_a_list_nothing_is_known)
{
	struct cfi_object found;
	ck_assert_int_eq(object_list_find((uintptr_t)&qsort, &found), -ENOSYS);
}
END_TEST

static void set_path(char *path, size_t size)
{
	const char *folder = getenv("BUILDDIR");
	snprintf(path, size, "%s/tests/programs/.libs/unwind_lib_small.so", folder ? folder : ".");
}

static void *open_library(uintptr_t *code)
{
	char path[4096];
	set_path(path, sizeof(path));
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(library, "%s", dlerror());
	*code = (uintptr_t)dlsym(library, "unwind_lib_call");
	return library;
}

START_TEST(a_library_is_known_from_its_dlopen_until_its_dlclose_begins)
{
	struct cfi_object found;
	uintptr_t code;
	for (int i = 0; i < 5; i++) {
		void *library = open_library(&code);
		object_list_update();
		assert_known(code);
		object_list_close_begin();
		ck_assert_int_eq(object_list_find(code, &found), -ENOENT);
		assert_known((uintptr_t)&qsort);
		dlclose(library);
		object_list_close_end();
		ck_assert_int_eq(object_list_find(code, &found), -ENOENT);
		assert_known((uintptr_t)&qsort);
	}
}
END_TEST

START_TEST(a_library_is_not_known_again_before_the_last_of_several_closes_has_ended)
{
	struct cfi_object found;
	uintptr_t code;
	void *library = open_library(&code);
	object_list_close_begin();
	object_list_close_begin();
	object_list_update();
	ck_assert_int_eq(object_list_find(code, &found), -ENOENT);
	object_list_close_end();
	ck_assert_int_eq(object_list_find(code, &found), -ENOENT);
	object_list_close_end();
	assert_known(code);
	dlclose(library);
}
END_TEST

/* Copies, for the loader knows a file that it has loaded. */
static void open_copy(const char *path)
{
	char name[64];
	struct stat status;
	int file = open(path, O_RDONLY | O_CLOEXEC), copy = memfd_create("copy", MFD_CLOEXEC);
	ck_assert(file >= 0 && copy >= 0 && fstat(file, &status) == 0);
	ck_assert_int_eq(sendfile(copy, file, NULL, (size_t)status.st_size), status.st_size);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", copy);
	ck_assert_msg(dlopen(name, RTLD_NOW | RTLD_LOCAL), "%s", dlerror());
	close(file);
}

START_TEST(many_libraries_are_known)
{
	enum { COPIES = 150 };
	char path[4096];
	set_path(path, sizeof(path));
	for (int i = 0; i < COPIES; i++)
		open_copy(path);
	object_list_update();
	dl_iterate_phdr(ask_for_code, NULL);
	ck_assert_uint_gt(objects, COPIES);
}
END_TEST

static int update_in_visit(struct dl_phdr_info *object, size_t size, void *argument)
{
	(void)object, (void)size, (void)argument;
	object_list_update();
	return 1;
}

START_TEST(the_list_may_be_made_by_who_holds_the_loaders_lock)
{
	ck_assert_int_eq(dl_iterate_phdr(update_in_visit, NULL), 1);
	assert_known((uintptr_t)&qsort);
}
END_TEST

START_TEST(a_forked_child_knows_what_its_parent_knew)
{
	int status;
	pid_t child = fork();
	if (!child) {
		struct cfi_object found;
		bool known = object_list_find((uintptr_t)&qsort, &found) == 0;
		object_list_update();
		_exit(known && object_list_find((uintptr_t)&qsort, &found) == 0 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(only_what_the_loader_searches_by_path_is_opened_for_the_program)
{
	static const char *const never[] = {NULL, "", "libm.so.6", "$ORIGIN/x.so", "/a/$LIB/x.so"};
	for (unsigned i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		ck_assert(!objects_may_open(never[i]));
	ck_assert(objects_may_open("/nowhere/x.so") == objects_are_listed());
	ck_assert(objects_may_open("./x.so") == objects_are_listed());
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("object_list");
	TCase *list = tcase_create("list");
	TCase *none = tcase_create("none");
	tcase_add_checked_fixture(list, set_up, NULL);
	tcase_set_timeout(list, 60);
	tcase_add_test(list, the_list_knows_all_code_as_the_loader_does);
	tcase_add_test(list, a_library_is_known_from_its_dlopen_until_its_dlclose_begins);
	tcase_add_test(
		list, a_library_is_not_known_again_before_the_last_of_several_closes_has_ended);
	tcase_add_test(list, many_libraries_are_known);
	tcase_add_test(list, the_list_may_be_made_by_who_holds_the_loaders_lock);
	tcase_add_test(list, a_forked_child_knows_what_its_parent_knew);
	tcase_add_test(list, only_what_the_loader_searches_by_path_is_opened_for_the_program);
	tcase_add_test(none, without_a_list_nothing_is_known);
	suite_add_tcase(suite, list);
	suite_add_tcase(suite, none);
	return suite;
}

TAP_MAIN(make_suite)
