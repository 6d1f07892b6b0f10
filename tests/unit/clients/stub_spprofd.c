/*
 * What `spprofctl run` starts instead of the real daemon: called spprofd in the build tree's test
 * folder. STUB_PID names a file for its pid and directory; STUB_MODE says how it misbehaves: fail
 * ends before it is ready         mute    never gets ready, and says so by SIGTERM to its parent
 *   refuse  refuses the snapshot            silent  sends SIGTERM to its parent instead of the
 * snapshot
 */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "unit/clients/fake_server.h"

static const char *mode;

static char state_of(int pid)
{
	char path[64], state = '?';
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%*d %*[^)]) %c", &state) != 1)
			state = '?';
		fclose(file);
	}
	return state;
}

static int answer_snapshot(int fd, const Spprof__V1__SnapshotRequest *request)
{
	char text[96];
	if (strcmp(mode, "refuse") == 0)
		return fake_server_send_error(
			fd, SPPROF__V1__ERROR__CODE__NOT_ATTACHED, "stub: it has no agent");
	if (strcmp(mode, "silent") == 0)
		return kill(getppid(), SIGTERM);
	snprintf(text, sizeof(text), "%sformat %d of a process in state %c\n",
		request->cumulative ? "cumulative " : "", (int)request->format,
		state_of(request->pid));
	return fake_server_send_snapshot(fd, text, 2);
}

static int answer(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)data;
	return request->kind_case == SPPROF__V1__REQUEST__KIND_SNAPSHOT
		       ? answer_snapshot(fd, request->snapshot)
		       : fake_server_send_ping(fd);
}

static void write_pid(const char *dir)
{
	FILE *file = fopen(getenv("STUB_PID"), "w");
	if (!file)
		exit(99);
	fprintf(file, "%d %s\n", (int)getpid(), dir);
	fclose(file);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket-dir", required_argument, NULL, 'd'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"exit-with-parent", no_argument, NULL, 'p'},
		{0},
	};
	const char *dir = NULL;
	int ready_fd = -1;
	for (int key; (key = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (key == 'd')
			dir = optarg;
		else if (key == 'r')
			ready_fd = atoi(optarg);
		else if (key != 'p' || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
			return 2;
	}
	mode = getenv("STUB_MODE") ? getenv("STUB_MODE") : "";
	if (!dir || ready_fd < 0 || getenv("LD_PRELOAD"))
		return 2;
	write_pid(dir);
	if (strcmp(mode, "fail") == 0) {
		fputs("stub: no luck today\n", stderr);
		return 3;
	}
	if (strcmp(mode, "mute") == 0) {
		kill(getppid(), SIGTERM);
		pause();
	}
	struct fake_server *server = fake_server_new(dir, answer, NULL);
	if (write(ready_fd, "\n", 1) != 1)
		return 99;
	close(ready_fd);
	fake_server_run(server);
}
