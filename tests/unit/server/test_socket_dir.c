#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/log.h"
#include "server/socket_dir.h"
#include "support/tap_main.h"

static char base[] = "/tmp/spprof-socket-dir-XXXXXX";
static char path[64];

static void setup(void)
{
	log_init("test", LOG_LEVEL_ERROR);
	strcpy(base + sizeof base - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(path, sizeof path, "%s/d", base);
}

static void teardown(void)
{
	rmdir(path);
	rmdir(base);
}

static bool exists(const char *name)
{
	char full[128];
	snprintf(full, sizeof full, "%s/%s", path, name);
	return access(full, F_OK) == 0;
}

START_TEST(the_default_is_where_agents_look)
{
	char *dir = socket_dir_default(0, "/run/user/0");
	ck_assert_str_eq(dir, "/run/spprofd");
	free(dir);
	dir = socket_dir_default(1000, "/run/user/1000");
	ck_assert_str_eq(dir, "/run/user/1000/spprofd");
	free(dir);
	dir = socket_dir_default(1000, "/home/me/run");
	ck_assert_str_eq(dir, "/tmp/spprofd-1000");
	free(dir);
	dir = socket_dir_default(1000, NULL);
	ck_assert_str_eq(dir, "/tmp/spprofd-1000");
	free(dir);
}
END_TEST

START_TEST(a_missing_directory_is_made_and_left_empty)
{
	struct socket_dir *dir;
	ck_assert_int_eq(socket_dir_new(&dir, path), 0);
	int fd = socket_dir_bind(dir, "api.sock", SOCK_STREAM, 0600, (gid_t)-1);
	ck_assert_int_ge(fd, 0);
	ck_assert(exists("api.sock"));
	ck_assert(exists("spprofd.pid"));
	close(fd);
	socket_dir_free(dir);
	ck_assert(!exists("api.sock"));
	ck_assert(!exists("spprofd.pid"));
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(sockets_have_the_mode_that_was_asked_for)
{
	struct socket_dir *dir;
	struct stat st;
	char full[128];
	snprintf(full, sizeof full, "%s/agent.sock", path);
	umask(077);
	ck_assert_int_eq(socket_dir_new(&dir, path), 0);
	int fd = socket_dir_bind(dir, "agent.sock", SOCK_SEQPACKET, 0666, (gid_t)-1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(stat(full, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0666);
	ck_assert_uint_eq(umask(077), 077);
	close(fd);
	socket_dir_free(dir);
}
END_TEST

START_TEST(a_second_daemon_is_refused_until_the_first_has_gone)
{
	struct socket_dir *first, *second;
	ck_assert_int_eq(socket_dir_new(&first, path), 0);
	ck_assert_int_eq(socket_dir_new(&second, path), -EBUSY);
	socket_dir_free(first);
	ck_assert_int_eq(socket_dir_new(&second, path), 0);
	socket_dir_free(second);
}
END_TEST

START_TEST(what_a_killed_daemon_left_is_replaced)
{
	pid_t child = fork();
	if (child == 0) {
		struct socket_dir *dir;
		if (socket_dir_new(&dir, path) == 0 &&
			socket_dir_bind(dir, "api.sock", SOCK_STREAM, 0600, (gid_t)-1) >= 0)
			_exit(0);
		_exit(1);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(exists("api.sock"));

	struct socket_dir *dir;
	ck_assert_int_eq(socket_dir_new(&dir, path), 0);
	int fd = socket_dir_bind(dir, "api.sock", SOCK_STREAM, 0600, (gid_t)-1);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/api.sock", path);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	close(client);
	close(fd);
	socket_dir_free(dir);
}
END_TEST

/* A process that ran, for its number. */
static pid_t ended_process(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

START_TEST(the_lock_of_a_killed_daemon_is_waited_for)
{
	struct socket_dir *dir;
	char name[128];
	ck_assert_int_eq(mkdir(path, 0755), 0);
	snprintf(name, sizeof name, "%s/spprofd.pid", path);
	int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(lock, 0);
	ck_assert_int_gt(dprintf(lock, "%d\n", (int)ended_process()), 0);
	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	/* A helper that the daemon was starting: it has the lock, and executes something soon. */
	pid_t helper = fork();
	if (helper == 0) {
		usleep(50000);
		_exit(0);
	}
	close(lock);
	ck_assert_int_eq(socket_dir_new(&dir, path), 0);
	ck_assert_int_eq(waitpid(helper, NULL, 0), helper);
	socket_dir_free(dir);
}
END_TEST

START_TEST(a_directory_that_others_can_write_is_refused)
{
	struct socket_dir *dir;
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0770), 0);
	ck_assert_int_eq(socket_dir_new(&dir, path), -EPERM);
	ck_assert_int_eq(chmod(path, 0702), 0);
	ck_assert_int_eq(socket_dir_new(&dir, path), -EPERM);
}
END_TEST

START_TEST(a_symbolic_link_is_not_followed)
{
	struct socket_dir *dir;
	ck_assert_int_eq(symlink(base, path), 0);
	ck_assert_int_lt(socket_dir_new(&dir, path), 0);
	unlink(path);
}
END_TEST

START_TEST(another_users_directory_is_refused)
{
	if (geteuid() != 0)
		return; /* only root can give a directory away */
	struct socket_dir *dir;
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chown(path, 1234, 1234), 0);
	ck_assert_int_eq(socket_dir_new(&dir, path), -EPERM);
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_refused)
{
	struct socket_dir *dir;
	char longest[128];
	memset(longest, 'x', sizeof longest);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	ck_assert_int_eq(socket_dir_new(&dir, longest), -ENAMETOOLONG);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("socket_dir");
	TCase *t = tcase_create("socket_dir");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_default_is_where_agents_look);
	tcase_add_test(t, a_missing_directory_is_made_and_left_empty);
	tcase_add_test(t, sockets_have_the_mode_that_was_asked_for);
	tcase_add_test(t, a_second_daemon_is_refused_until_the_first_has_gone);
	tcase_add_test(t, what_a_killed_daemon_left_is_replaced);
	tcase_add_test(t, the_lock_of_a_killed_daemon_is_waited_for);
	tcase_add_test(t, a_directory_that_others_can_write_is_refused);
	tcase_add_test(t, a_symbolic_link_is_not_followed);
	tcase_add_test(t, another_users_directory_is_refused);
	tcase_add_test(t, a_path_too_long_for_a_socket_is_refused);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
