/* spprofctl as its users meet it, against a fake server: what it prints, what it asks for, how it
 * ends. */
#pragma once
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "support/tap_main.h"
#include "unit/clients/fake_server.h"
#include "unit/clients/program.h"

enum {
	PID_OK = 100,
	PID_REFUSED = 200, /* + code */
	PID_HANG_UP = 300,
	PID_NONSENSE = 301,
};

static char *dir;
static struct program result;

static inline void answer_list(int fd, bool include_exited)
{
	Spprof__V1__Estimate live = {PROTOBUF_C_MESSAGE_INIT(&spprof__v1__estimate__descriptor),
		3 << 20, 2 << 20, 4 << 20, 1234};
	Spprof__V1__Process first = SPPROF__V1__PROCESS__INIT, second = first, gone = first;
	first.pid = 4711;
	first.comm = (char *)"server";
	first.command_line = (char *)"/opt/server --flag";
	first.state = SPPROF__V1__PROCESS__STATE__ATTACHED;
	first.interval_bytes = 512 << 10;
	first.live_bytes = &live;
	second.pid = 4712;
	second.comm = (char *)"evil\x1b[2J\"\\";
	second.state = SPPROF__V1__PROCESS__STATE__LOST;
	second.unconfirmed = true;
	second.note = (char *)"closed its descriptors";
	gone.pid = 4713;
	gone.comm = (char *)"gone";
	gone.state = SPPROF__V1__PROCESS__STATE__EXITED;
	Spprof__V1__Process *processes[] = {&first, &second, &gone};
	Spprof__V1__ListResponse list = SPPROF__V1__LIST_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	list.processes = processes;
	list.n_processes = include_exited ? 3 : 2;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_LIST;
	response.list = &list;
	fake_server_send(fd, &response);
}

static inline void answer_stats(int fd, int32_t pid)
{
	Spprof__V1__Counter lost = SPPROF__V1__COUNTER__INIT, drops = lost;
	lost.name = (char *)"lost_birth_ring_full_bytes";
	lost.value = 1536;
	lost.help = (char *)"stood for by samples that found no room";
	drops.name = (char *)"ring_drops";
	drops.value = 3;
	Spprof__V1__Counter *counters[] = {&lost, &drops};
	Spprof__V1__Estimate live = {PROTOBUF_C_MESSAGE_INIT(&spprof__v1__estimate__descriptor),
		3 << 20, 2 << 20, 4 << 20, 1234};
	Spprof__V1__Process process = SPPROF__V1__PROCESS__INIT;
	process.pid = pid;
	Spprof__V1__StatsResponse stats = SPPROF__V1__STATS_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	stats.process = pid ? &process : NULL;
	stats.counters = counters;
	stats.n_counters = 2;
	stats.live_bytes = pid ? &live : NULL;
	Spprof__V1__CaptureModule module = SPPROF__V1__CAPTURE_MODULE__INIT, *modules[] = {&module};
	Spprof__V1__Capture capture = SPPROF__V1__CAPTURE__INIT;
	module.path = (char *)"/lib/odd.so";
	module.no_info = 12;
	capture.confidence = SPPROF__V1__CAPTURE__CONFIDENCE__MEDIUM;
	capture.recommendation = (char *)"build /lib/odd.so anew";
	capture.truncated_percent = 12.5;
	capture.audited = 40;
	capture.agreement_percent = 100;
	capture.modules = modules;
	capture.n_modules = 1;
	stats.capture = pid ? &capture : NULL;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_STATS;
	response.stats = &stats;
	fake_server_send(fd, &response);
}

/* Tells what it was asked for, so that tests can see it in the output. */
static inline void answer_snapshot(int fd, const Spprof__V1__SnapshotRequest *request)
{
	char text[256];
	snprintf(text, sizeof(text),
		"format=%d top=%" PRIu32 " depth=%" PRIu32 " width=%" PRIu32
		" color=%d cumulative=%d timeout=%" PRIu32 "\n",
		(int)request->format, request->top, request->depth, request->width, request->color,
		request->cumulative, request->timeout_ms);
	fake_server_send_snapshot(fd, text, 3);
}

static inline int answer_pid(int fd, int32_t pid, const Spprof__V1__Request *request)
{
	if (pid == PID_HANG_UP)
		return -1;
	if (pid == PID_NONSENSE)
		return fake_server_send_bytes(fd, "GET / HTTP/1.0\r\n", 16);
	if (pid >= PID_REFUSED)
		return fake_server_send_error(
			fd, (Spprof__V1__Error__Code)(pid - PID_REFUSED), "the daemon's\nreason");
	if (request->kind_case == SPPROF__V1__REQUEST__KIND_STATS)
		answer_stats(fd, pid);
	else
		answer_snapshot(fd, request->snapshot);
	return 0;
}

static inline int answer(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)data;
	switch (request->kind_case) {
	case SPPROF__V1__REQUEST__KIND_LIST:
		answer_list(fd, request->list->include_exited);
		return 0;
	case SPPROF__V1__REQUEST__KIND_PING:
		return fake_server_send_ping(fd);
	case SPPROF__V1__REQUEST__KIND_STATS:
		return answer_pid(fd, request->stats->pid, request);
	default:
		return answer_pid(fd, request->snapshot->pid, request);
	}
}

static inline void setup(void)
{
	static const char *const variables[] = {"SPPROF_RATE", "SPPROF_LIBDIR", "SPPROF_BINDIR",
		"XDG_RUNTIME_DIR", "NO_COLOR", "LD_PRELOAD"};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	dir = fake_server_make_dir();
	setenv("SPPROF_SOCKET", dir, 1);
	fake_server_start(fake_server_new(dir, answer, NULL));
}

static inline void teardown(void)
{
	program_deinit(&result);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	free(dir);
}

static inline const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "no '%s' in: %s", part, text);
}

static inline void assert_one_line(const char *text)
{
	const char *newline = strchr(text, '\n');
	ck_assert_msg(newline && !newline[1], "not one line: %s", text);
}

#define RUN(...) program_run(&result, "spprofctl", __VA_ARGS__, NULL)
