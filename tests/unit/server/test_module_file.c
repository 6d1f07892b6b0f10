/* Files of our own mappings, of another process's, and of none any more. */
#include "config.h"
#include "server/module_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buffer.h"
#include "support/tap_main.h"

static char dir[64], path[128];
static struct module_map *map;
static struct symbol_file file;
static int proc_self;

static void write_file(const char *name, mode_t mode)
{
	char page[4096] = "content";
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, page, sizeof(page)), sizeof(page));
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

static void set_up(void)
{
	strcpy(dir, "/tmp/spprof-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	snprintf(path, sizeof(path), "%s/lib.so", dir);
	write_file(path, 0644);
	ck_assert_int_eq(module_map_new(&map), 0);
	proc_self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void tear_down(void)
{
	close(proc_self);
	module_map_free(map);
	unlink(path);
	rmdir(dir);
}

static void *map_file(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	ck_assert(at != MAP_FAILED);
	close(fd);
	return at;
}

static void read_maps(const char *name, enum module_map_source source)
{
	struct buffer text = BUFFER_INIT;
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while ((n = read(fd, buffer_reserve(&text, 65536), 65536)) > 0)
		text.size += (size_t)n;
	close(fd);
	module_map_update(map, (char *)text.data, text.size, source, 0);
	buffer_deinit(&text);
}

static const struct module_info *module_at(const void *address)
{
	uint32_t module;
	uint64_t offset;

	ck_assert_int_eq(
		module_map_resolve(map, (uintptr_t)address, 0, &module, &offset), MODULE_MAP_FOUND);
	ck_assert_uint_ne(module, STACK_MODULE_NONE);
	return module_map_get(map, module);
}

static const struct module_info *mapped_module(enum module_map_source source)
{
	void *at = map_file(path);

	read_maps("/proc/self/maps", source);
	return module_at(at);
}

static void assert_opens(const struct module_info *module, int proc_fd)
{
	struct stat expected, st;

	ck_assert_int_eq(stat(path, &expected), 0);
	int fd = module_file_open(module, proc_fd, &file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_uint_eq(st.st_ino, expected.st_ino);
	ck_assert_uint_eq(file.inode, expected.st_ino);
	ck_assert_uint_eq(file.device, expected.st_dev);
	ck_assert_uint_eq(file.size, 4096);
	ck_assert_uint_eq(file.mtime_ns, (uint64_t)expected.st_mtim.tv_sec * 1000000000u +
						 (uint64_t)expected.st_mtim.tv_nsec);
	close(fd);
}

START_TEST(a_mapped_file_is_opened_while_its_process_lives_and_after)
{
	const struct module_info *module = mapped_module(MODULE_MAP_KERNEL);

	assert_opens(module, proc_self);
	assert_opens(module, -1);
}
END_TEST

START_TEST(our_own_program_and_its_libraries_are_opened)
{
	read_maps("/proc/self/maps", MODULE_MAP_KERNEL);
	for (uint32_t i = 0; i < module_map_count(map); i++) {
		const struct module_info *module = module_map_get(map, i);
		int fd = module_file_open(module, proc_self, &file);
		if (strcmp(module->path, "[vdso]") == 0) {
			ck_assert_int_eq(fd, -ENODATA);
			continue;
		}
		ck_assert_msg(fd >= 0, "%s: %s", module->path, strerror(-fd));
		close(fd);
	}
	ck_assert_uint_ge(module_map_count(map), 3);
}
END_TEST

START_TEST(a_private_file_is_opened_only_while_its_process_lives)
{
	chmod(path, 0600);
	const struct module_info *module = mapped_module(MODULE_MAP_KERNEL);

	assert_opens(module, proc_self);
	ck_assert_int_eq(module_file_open(module, -1, &file), -EACCES);
}
END_TEST

START_TEST(a_private_file_that_only_the_worker_vouches_for_is_not_opened)
{
	chmod(path, 0600);
	const struct module_info *module = mapped_module(MODULE_MAP_WORKER);

	ck_assert_int_eq(module_file_open(module, proc_self, &file), -EACCES);
	chmod(path, 0644);
	assert_opens(module, proc_self);
}
END_TEST

START_TEST(a_readable_file_in_a_private_folder_is_not_public)
{
	const struct module_info *module = mapped_module(MODULE_MAP_KERNEL);

	chmod(dir, 0700);
	assert_opens(module, proc_self);
	ck_assert_int_eq(module_file_open(module, -1, &file), -EACCES);
}
END_TEST

START_TEST(another_file_in_its_place_is_not_taken_for_it)
{
	const struct module_info *module = mapped_module(MODULE_MAP_KERNEL);
	char fresh[160];

	snprintf(fresh, sizeof(fresh), "%s.new", path);
	write_file(fresh, 0644); /* while the old one is in use, so its inode is another */
	ck_assert_int_eq(rename(fresh, path), 0);
	ck_assert_int_eq(module_file_open(module, -1, &file), -ESTALE);
	int fd = module_file_open(module, proc_self, &file);
	if (fd >= 0) /* privileged: the mapped one, not the new one */
		ck_assert_uint_eq(file.inode, module->inode);
	else
		ck_assert_int_eq(fd, -ESTALE);
}
END_TEST

START_TEST(the_path_of_a_deleted_file_is_not_tried)
{
	void *at = map_file(path);

	unlink(path);
	write_file(path, 0644);
	read_maps("/proc/self/maps", MODULE_MAP_KERNEL);
	ck_assert(module_at(at)->deleted);
	ck_assert_str_eq(module_at(at)->path, path);
	ck_assert_int_eq(module_file_open(module_at(at), -1, &file), -ESTALE);
}
END_TEST

/* A module made up by a worker. */
static const struct module_info *claimed_module(const char *name)
{
	struct buffer text = BUFFER_INIT;
	struct stat st;

	ck_assert_int_eq(lstat(name, &st), 0);
	buffer_printf(&text, "1000-2000 r-xp 0 %x:%x %lu %s\n", major(st.st_dev), minor(st.st_dev),
		(unsigned long)st.st_ino, name);
	module_map_update(map, (char *)text.data, text.size, MODULE_MAP_WORKER, 0);
	buffer_deinit(&text);
	return module_at((void *)0x1000);
}

START_TEST(no_symbolic_link_is_followed)
{
	char link[128], through[160];

	snprintf(link, sizeof(link), "%s/link", dir);
	ck_assert_int_eq(symlink(path, link), 0);
	struct module_info module = *mapped_module(MODULE_MAP_WORKER);
	module.path = link;
	ck_assert_int_lt(module_file_open(&module, -1, &file), 0);
	unlink(link);
	ck_assert_int_eq(symlink(dir, link), 0);
	snprintf(through, sizeof(through), "%s/lib.so", link);
	module.path = through;
	ck_assert_int_lt(module_file_open(&module, -1, &file), 0);
	snprintf(through, sizeof(through), "%s/../%s/lib.so", dir, strrchr(dir, '/') + 1);
	ck_assert_int_lt(module_file_open(&module, -1, &file), 0);
	snprintf(through, sizeof(through), "/%s///lib.so", dir);
	assert_opens(&module, -1);
	unlink(link);
}
END_TEST

START_TEST(what_is_no_plain_file_is_not_opened)
{
	char fifo[128];

	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0666), 0);
	ck_assert_int_eq(chmod(fifo, 0666), 0);
	ck_assert_int_eq(module_file_open(claimed_module(fifo), -1, &file), -EACCES);
	unlink(fifo);
	ck_assert_int_eq(module_file_open(claimed_module("/dev/zero"), -1, &file), -EACCES);
	ck_assert_int_eq(module_file_open(claimed_module("/usr/lib"), -1, &file), -EACCES);
	ck_assert_int_eq(module_file_open(claimed_module("/"), -1, &file), -EACCES);
	ck_assert_int_eq(module_file_open(claimed_module("/proc/version"), -1, &file), -EACCES);
}
END_TEST

START_TEST(a_path_that_leads_nowhere_is_an_error)
{
	struct module_info module = {.path = "/no/such/file"};
	char long_name[600];

	ck_assert_int_eq(module_file_open(&module, -1, &file), -ENOENT);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[0] = '/';
	long_name[sizeof(long_name) - 1] = '\0';
	module.path = long_name;
	ck_assert_int_lt(module_file_open(&module, -1, &file), 0);
}
END_TEST

static void copy_program(const char *from, const char *to)
{
	char bytes[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(out, bytes, (size_t)n), n);
	ck_assert_int_eq(fchmod(out, 0755), 0);
	close(in);
	close(out);
}

/* Runs `cat` under another name until `end` is closed; returns when it is up. */
static pid_t run_program(const char *program, int *end)
{
	int in[2], out[2];
	char byte = 'x';

	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(program, program, (char *)NULL);
		_exit(1);
	}
	ck_assert_int_eq(write(in[1], &byte, 1), 1);
	close(out[1]);
	ck_assert_int_eq(read(out[0], &byte, 1), 1);
	close(in[0]);
	close(out[0]);
	*end = in[1];
	return pid;
}

START_TEST(a_program_deleted_while_it_runs_is_opened)
{
	char name[64];
	struct stat st;
	int end;

	copy_program("/bin/cat", path);
	ck_assert_int_eq(stat(path, &st), 0);
	pid_t pid = run_program(path, &end);
	unlink(path);
	snprintf(name, sizeof(name), "/proc/%d", (int)pid);
	int proc_fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	strcat(name, "/maps");
	read_maps(name, MODULE_MAP_KERNEL);
	const struct module_info *program = module_map_get(map, 0);
	ck_assert_str_eq(program->path, path);
	ck_assert(program->deleted);

	int fd = module_file_open(program, proc_fd, &file);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(file.inode, st.st_ino);
	ck_assert_uint_eq(file.size, st.st_size);
	close(fd);

	close(end);
	waitpid(pid, NULL, 0);
	ck_assert_int_lt(module_file_open(program, proc_fd, &file), 0);
	close(proc_fd);
}
END_TEST

/* Layers on two file systems: then stat names another device than the maps do. */
static bool mount_overlay(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	if (mount("none", "mounts", "tmpfs", 0, "mode=755") < 0)
		return false;
	mkdir("mounts/upper", 0755);
	mkdir("mounts/work", 0755);
	mkdir("mounts/merged", 0755);
	return mount("overlay", "mounts/merged", "overlay", 0,
		       "lowerdir=lower,upperdir=mounts/upper,workdir=mounts/work") == 0;
}

START_TEST(a_file_on_overlayfs_is_recognised)
{
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(chdir(dir), 0);
	mkdir("lower", 0755);
	mkdir("mounts", 0755);
	write_file("lower/lib.so", 0644);
	if (mount_overlay()) { /* needs privilege */
		snprintf(path, sizeof(path), "%s/mounts/merged/lib.so", dir);
		void *at = map_file(path);
		read_maps("/proc/self/maps", MODULE_MAP_KERNEL);
		assert_opens(module_at(at), proc_self);
		assert_opens(module_at(at), -1);
	}
	umount2("mounts", MNT_DETACH);
	unlink("lower/lib.so");
	rmdir("lower");
	rmdir("mounts");
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("module_file");
	TCase *t = tcase_create("module_file");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_mapped_file_is_opened_while_its_process_lives_and_after);
	tcase_add_test(t, our_own_program_and_its_libraries_are_opened);
	tcase_add_test(t, a_private_file_is_opened_only_while_its_process_lives);
	tcase_add_test(t, a_private_file_that_only_the_worker_vouches_for_is_not_opened);
	tcase_add_test(t, a_readable_file_in_a_private_folder_is_not_public);
	tcase_add_test(t, another_file_in_its_place_is_not_taken_for_it);
	tcase_add_test(t, the_path_of_a_deleted_file_is_not_tried);
	tcase_add_test(t, no_symbolic_link_is_followed);
	tcase_add_test(t, what_is_no_plain_file_is_not_opened);
	tcase_add_test(t, a_path_that_leads_nowhere_is_an_error);
	tcase_add_test(t, a_program_deleted_while_it_runs_is_opened);
	tcase_add_test(t, a_file_on_overlayfs_is_recognised);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
