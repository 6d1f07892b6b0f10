/* Programs come from the build tree: BUILDDIR, which `make check` sets. */
#include "config.h"
#include "support/daemon_fixture.h"
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_MESSAGE (1u << 20)
#define MAX_OPTIONS 16
#define PAUSE_MS    5

static const char *build_dir(void)
{
	const char *directory = getenv("BUILDDIR");
	return directory != NULL ? directory : ".";
}

static bool readable(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	int r;
	do
		r = poll(&wait, 1, FIXTURE_WAIT_MS);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

/* In a child: becomes the program, with standard error as it is. */
static void become(const char *name, const char *const *first, const char *const *options)
{
	char path[512];
	const char *argv[2 * MAX_OPTIONS + 2] = {path};
	size_t argc = 1;
	snprintf(path, sizeof path, "%s/%s", build_dir(), name);
	for (; first != NULL && *first != NULL; first++)
		argv[argc++] = *first;
	for (; options != NULL && *options != NULL; options++)
		argv[argc++] = *options;
	/* A signal mask or an ignored signal of the test runner is not ours to give. */
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setenv("SPPROF_LIBEXECDIR", build_dir(), 1);
	execv(path, (char **)argv);
	perror(path);
	_exit(127);
}

void fixture_start(struct fixture_daemon *daemon, const char *const *options)
{
	int ready[2];
	char number[16];
	if (daemon->dir[0] == '\0') {
		strcpy(daemon->dir, "/tmp/spprof-test-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(daemon->dir));
	}
	ck_assert_int_eq(pipe(ready), 0);
	snprintf(number, sizeof number, "%d", ready[1]);
	const char *const own[] = {
		"--socket-dir", daemon->dir, "--ready-fd", number, "--exit-with-parent", NULL};
	daemon->pid = fork();
	if (daemon->pid == 0) {
		close(ready[0]);
		become("spprofd", own, options);
	}
	close(ready[1]);
	char text[6];
	ck_assert_msg(readable(ready[0]) && read(ready[0], text, sizeof text) == sizeof text,
		"spprofd is not ready");
	ck_assert_mem_eq(text, "ready\n", sizeof text);
	close(ready[0]);
}

static int await_end(pid_t pid)
{
	int status, pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(pidfd, 0);
	ck_assert_msg(readable(pidfd), "process %d does not end", (int)pid);
	close(pidfd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

int fixture_stop(struct fixture_daemon *daemon, int signal_number)
{
	pid_t pid = daemon->pid;
	daemon->pid = 0;
	kill(pid, signal_number);
	return await_end(pid);
}

void fixture_clean(struct fixture_daemon *daemon)
{
	if (daemon->pid > 0) {
		/* A sanitizer's verdict at the end counts. */
		ck_assert_int_eq(fixture_stop(daemon, SIGTERM), 0);
	}
	DIR *entries = opendir(daemon->dir);
	struct dirent *entry;
	while (entries != NULL && (entry = readdir(entries)) != NULL)
		unlinkat(dirfd(entries), entry->d_name, 0);
	if (entries != NULL)
		closedir(entries);
	rmdir(daemon->dir);
	daemon->dir[0] = '\0';
}

bool fixture_exists(const struct fixture_daemon *daemon, const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", daemon->dir, name);
	return access(path, F_OK) == 0;
}

int fixture_run_spprofd(const char *const *options, char *text, size_t size)
{
	int said[2];
	ck_assert_int_eq(pipe(said), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(said[1], STDERR_FILENO);
		dup2(said[1], STDOUT_FILENO);
		close(said[0]);
		close(said[1]);
		become("spprofd", NULL, options);
	}
	close(said[1]);
	size_t used = 0;
	ssize_t got;
	while (used < size - 1 && readable(said[0]) &&
		(got = read(said[0], text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	close(said[0]);
	int status = await_end(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static long read_answer(struct fixture_worker *worker)
{
	char line[64];
	long number = -1;
	ck_assert_msg(readable(fileno(worker->answers)) &&
			      fgets(line, sizeof line, worker->answers) != NULL,
		"the worker does not answer");
	ck_assert_msg(strncmp(line, "ok", 2) == 0, "the worker says %s", line);
	sscanf(line, "ok %ld", &number);
	return number;
}

void fixture_worker_start(struct fixture_worker *worker, const struct fixture_daemon *daemon,
	const char *const *options)
{
	int in[2], out[2];
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	worker->pid = fork();
	if (worker->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		setenv("SPPROF_SOCKET", daemon->dir, 1);
		become("tests/programs/fake_worker", NULL, options);
	}
	close(in[0]);
	close(out[1]);
	worker->commands = fdopen(in[1], "w");
	worker->answers = fdopen(out[0], "r");
	/* Lines come one by one; a buffered second one would hide from poll(). */
	setvbuf(worker->answers, NULL, _IONBF, 0);
	read_answer(worker);
}

long fixture_worker_tell(struct fixture_worker *worker, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(worker->commands, format, args);
	va_end(args);
	fputc('\n', worker->commands);
	ck_assert_int_eq(fflush(worker->commands), 0);
	return strcmp(format, "exit") == 0 ? 0 : read_answer(worker);
}

void fixture_worker_handshake(struct fixture_worker *worker, const struct fixture_daemon *daemon)
{
	ck_assert_int_eq(fixture_worker_tell(worker, "handshake %s", daemon->dir), 0);
}

void fixture_worker_end(struct fixture_worker *worker)
{
	if (worker->pid <= 0)
		return;
	kill(worker->pid, SIGKILL);
	waitpid(worker->pid, NULL, 0);
	fclose(worker->commands);
	fclose(worker->answers);
	*worker = (struct fixture_worker){0};
}

int fixture_connect(const struct fixture_daemon *daemon, const char *name, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", daemon->dir, name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "%s: %s",
		address.sun_path, strerror(errno));
	return fd;
}

void fixture_send(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;
	while (size > 0) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
		ck_assert_msg(sent > 0, "send: %s", strerror(errno));
		at += sent;
		size -= (size_t)sent;
	}
}

void fixture_send_request(int fd, const Spprof__V1__Request *request)
{
	size_t size = spprof__v1__request__get_packed_size(request);
	uint8_t *message = calloc(1, 8 + size);
	for (unsigned i = 0; i < 4; i++)
		message[i] = (uint8_t)(size >> (8 * i));
	message[4] = 1;
	spprof__v1__request__pack(request, message + 8);
	fixture_send(fd, message, 8 + size);
	free(message);
}

static bool receive_all(int fd, uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ck_assert_msg(readable(fd), "the daemon does not answer");
		ssize_t got = recv(fd, bytes, size, 0);
		if (got <= 0)
			return false;
		bytes += got;
		size -= (size_t)got;
	}
	return true;
}

Spprof__V1__Response *fixture_receive(int fd)
{
	uint8_t preamble[8];
	if (!receive_all(fd, preamble, sizeof preamble))
		return NULL;
	uint32_t size = (uint32_t)preamble[0] | (uint32_t)preamble[1] << 8 |
			(uint32_t)preamble[2] << 16 | (uint32_t)preamble[3] << 24;
	ck_assert_uint_le(size, MAX_MESSAGE);
	ck_assert_uint_eq(preamble[4] | preamble[5] << 8, 1);
	ck_assert_uint_eq(preamble[6] | preamble[7] << 8, 0);
	uint8_t *message = calloc(1, size + 1);
	ck_assert(receive_all(fd, message, size));
	Spprof__V1__Response *response = spprof__v1__response__unpack(NULL, size, message);
	free(message);
	ck_assert_ptr_nonnull(response);
	return response;
}

bool fixture_closed(int fd)
{
	char bytes[4096];
	ssize_t got;
	while (readable(fd)) {
		got = recv(fd, bytes, sizeof bytes, 0);
		if (got <= 0)
			return true;
	}
	return false;
}

void fixture_free(Spprof__V1__Response *response)
{
	if (response != NULL)
		spprof__v1__response__free_unpacked(response, NULL);
}

static Spprof__V1__Response *ask(
	const struct fixture_daemon *daemon, const Spprof__V1__Request *request)
{
	int fd = fixture_connect(daemon, "api.sock", SOCK_STREAM);
	fixture_send_request(fd, request);
	Spprof__V1__Response *response = fixture_receive(fd);
	ck_assert_ptr_nonnull(response);
	close(fd);
	return response;
}

Spprof__V1__Response *fixture_list(const struct fixture_daemon *daemon, bool include_exited)
{
	Spprof__V1__ListRequest list = SPPROF__V1__LIST_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	list.include_exited = include_exited;
	request.kind_case = SPPROF__V1__REQUEST__KIND_LIST;
	request.list = &list;
	return ask(daemon, &request);
}

Spprof__V1__Response *fixture_stats(const struct fixture_daemon *daemon, pid_t pid)
{
	Spprof__V1__StatsRequest stats = SPPROF__V1__STATS_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	stats.pid = pid;
	request.kind_case = SPPROF__V1__REQUEST__KIND_STATS;
	request.stats = &stats;
	return ask(daemon, &request);
}

uint64_t fixture_mark(const struct fixture_daemon *daemon, pid_t pid, const char *name)
{
	Spprof__V1__MarkRequest mark = SPPROF__V1__MARK_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	mark.pid = pid;
	mark.name = (char *)name;
	request.kind_case = SPPROF__V1__REQUEST__KIND_MARK;
	request.mark = &mark;
	Spprof__V1__Response *response = ask(daemon, &request);
	ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_MARK);
	uint64_t id = response->mark->id;
	fixture_free(response);
	return id;
}

char *fixture_snapshot(const struct fixture_daemon *daemon, pid_t pid,
	Spprof__V1__SnapshotRequest__Format format, Spprof__V1__Response **first)
{
	Spprof__V1__SnapshotRequest snapshot = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	snapshot.pid = pid;
	snapshot.format = format;
	return fixture_take_snapshot(daemon, &snapshot, first);
}

char *fixture_take_snapshot(const struct fixture_daemon *daemon,
	Spprof__V1__SnapshotRequest *snapshot, Spprof__V1__Response **first)
{
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	snapshot->timeout_ms = 10000;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = snapshot;
	int fd = fixture_connect(daemon, "api.sock", SOCK_STREAM);
	fixture_send_request(fd, &request);
	char *text = calloc(1, 1);
	size_t size = 0;
	bool more;
	if (first != NULL)
		*first = NULL;
	do {
		Spprof__V1__Response *piece = fixture_receive(fd);
		ck_assert_ptr_nonnull(piece);
		more = piece->more;
		if (piece->kind_case == SPPROF__V1__RESPONSE__KIND_SNAPSHOT) {
			text = realloc(text, size + piece->snapshot->data.len + 1);
			memcpy(text + size, piece->snapshot->data.data, piece->snapshot->data.len);
			size += piece->snapshot->data.len;
			text[size] = '\0';
		} else {
			ck_assert_msg(first != NULL, "snapshot: %s", piece->error->message);
		}
		if (first != NULL && *first == NULL)
			*first = piece;
		else
			fixture_free(piece);
	} while (more);
	close(fd);
	return text;
}

const Spprof__V1__Process *fixture_process(const Spprof__V1__Response *list, pid_t pid)
{
	ck_assert_int_eq(list->kind_case, SPPROF__V1__RESPONSE__KIND_LIST);
	for (size_t i = 0; i < list->list->n_processes; i++)
		if (list->list->processes[i]->pid == pid)
			return list->list->processes[i];
	return NULL;
}

static bool in_state(const Spprof__V1__Response *list, pid_t pid, Spprof__V1__Process__State state)
{
	for (size_t i = 0; i < list->list->n_processes; i++)
		if (list->list->processes[i]->pid == pid &&
			list->list->processes[i]->state == state)
			return true;
	return false;
}

void fixture_await_state(
	const struct fixture_daemon *daemon, pid_t pid, Spprof__V1__Process__State state)
{
	for (int waited = 0; waited < FIXTURE_WAIT_MS; waited += PAUSE_MS) {
		Spprof__V1__Response *list = fixture_list(daemon, true);
		bool reached = in_state(list, pid, state);
		fixture_free(list);
		if (reached)
			return;
		poll(NULL, 0, PAUSE_MS);
	}
	ck_abort_msg("process %d does not reach state %d", (int)pid, (int)state);
}

double fixture_counter(const Spprof__V1__Response *stats, const char *name)
{
	ck_assert_int_eq(stats->kind_case, SPPROF__V1__RESPONSE__KIND_STATS);
	for (size_t i = 0; i < stats->stats->n_counters; i++)
		if (strcmp(stats->stats->counters[i]->name, name) == 0)
			return stats->stats->counters[i]->value;
	ck_abort_msg("no counter %s", name);
}
