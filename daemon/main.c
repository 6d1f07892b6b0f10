/*
 * spprofd: collects what agents sample and answers questions about it. Wiring only: options,
 * limits, the parts in the order in which they need each other, and the way back. Docs: spprofd(8).
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/agent_listener.h"
#include "server/api_handlers.h"
#include "server/api_server.h"
#include "server/attach_scan.h"
#include "server/auditor.h"
#include "server/drain_scheduler.h"
#include "server/event_loop.h"
#include "server/map_places.h"
#include "server/module_files.h"
#include "server/options.h"
#include "server/process_reader.h"
#include "server/session.h"
#include "server/session_table.h"
#include "server/snapshot_builder.h"
#include "server/socket_dir.h"
#include "server/symbol_client.h"

#define EXIT_USAGE	    2
#define MAX_API_CONNECTIONS 256
#define STALL_MS	    30000
#define MAX_HELD_BYTES	    ((size_t)512 << 20)
#define FINISH_MS	    2000

#ifdef __SANITIZE_THREAD__
/* libuv is not instrumented and closes descriptors by plain system calls: the sanitizer sees a
 * number in two threads' hands and no end of the first file in between. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:accept4\nrace:epoll_ctl\nrace:pipe2\nrace:socketpair\nrace:recvmsg\nrace:"
	       "sendmsg\n";
}
#endif

struct daemon {
	struct options options;
	gid_t group;
	struct event_loop *loop;
	struct socket_dir *directory;
	struct drain_scheduler *scheduler;
	struct map_places *places;
	struct process_reader *reader;
	struct session_table *table;
	struct symbol_client *symbols;
	struct module_files *files;
	struct snapshot_builder *builder;
	struct auditor *auditor;
	struct attach_scan *scan;
	struct agent_listener *listener;
	struct api_handlers *handlers;
	struct api_server *server;
	bool ending;
};

static void on_finished(void *data)
{
	struct daemon *daemon = data;
	event_loop_stop(daemon->loop);
}

/* What is asked already is answered; what is still in the rings stays there for the next daemon. */
static void on_signal(void *data)
{
	struct daemon *daemon = data;
	if (daemon->ending || daemon->server == NULL)
		event_loop_stop(daemon->loop);
	else
		api_server_finish(daemon->server, FINISH_MS, on_finished, daemon);
	daemon->ending = true;
}

static int find_group(struct daemon *daemon)
{
	daemon->group = (gid_t)-1;
	if (daemon->options.group == NULL)
		return 0;
	const struct group *group = getgrnam(daemon->options.group);
	if (group == NULL) {
		log_error("--group: there is no group '%s'", daemon->options.group);
		return -EINVAL;
	}
	daemon->group = group->gr_gid;
	return 0;
}

/* A worker takes three descriptors. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* The parent may have ended before it could be watched: then nobody reads the other end. */
static int tie_to_parent(const struct options *options)
{
	if (!options->exit_with_parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return -errno;
	struct pollfd ready = {.fd = options->ready_fd, .events = POLLOUT};
	bool alone = options->ready_fd >= 0 && poll(&ready, 1, 0) == 1 && (ready.revents & POLLERR);
	return alone ? -EPIPE : 0;
}

/* Without that one no process could be told from another; the other two are missed when they are wanted. */
static int find_proc_reader(const struct options *options)
{
	if (access(options->proc_reader, X_OK) == 0)
		return 0;
	log_error("%s: %s; install spprofd as a whole, or say where its helpers are by "
		  "SPPROF_LIBEXECDIR",
		options->proc_reader, strerror(errno));
	return -ENOENT;
}

static int prepare(struct daemon *daemon)
{
	const struct options *options = &daemon->options;
	if (options->ready_fd >= 0 && fcntl(options->ready_fd, F_SETFD, FD_CLOEXEC) < 0) {
		log_error("--ready-fd: descriptor %d is not open", options->ready_fd);
		return -EBADF;
	}
	int r = tie_to_parent(options);
	if (r == 0)
		r = find_proc_reader(options);
	if (r == 0)
		r = find_group(daemon);
	raise_descriptor_limit();
	/* Opening a worker's files may hang: there must be threads left for everything else. */
	setenv("UV_THREADPOOL_SIZE", "16", 0);
	return r;
}

static int make_parts(struct daemon *daemon)
{
	int r = event_loop_new(&daemon->loop, on_signal, daemon);
	if (r < 0)
		return r;
	struct uv_loop_s *uv = event_loop_uv(daemon->loop);
	if (daemon->options.exit_with_pid > 0)
		r = event_loop_watch(daemon->loop, (int32_t)daemon->options.exit_with_pid);
	if (r == 0)
		r = drain_scheduler_new(&daemon->scheduler, uv);
	const struct map_places_options places = {.program = daemon->options.map_reader};
	if (r == 0)
		r = map_places_new(&daemon->places, uv, &places);
	const struct process_reader_options reader = {.program = daemon->options.proc_reader};
	if (r == 0)
		r = process_reader_new(&daemon->reader, uv, &reader);
	const struct session_means means = {.places = daemon->places, .reader = daemon->reader};
	if (r == 0)
		r = session_table_new(
			&daemon->table, uv, daemon->scheduler, &means, &daemon->options.limits);
	if (r == 0)
		r = symbol_client_new(&daemon->symbols, uv, daemon->options.symbolizer, NULL);
	if (r == 0)
		r = module_files_new(&daemon->files, uv, daemon->symbols);
	if (r == 0)
		r = snapshot_builder_new(
			&daemon->builder, uv, daemon->table, daemon->symbols, daemon->files);
	if (r == 0)
		r = auditor_new(&daemon->auditor, uv, daemon->options.symbolizer, daemon->files,
			daemon->symbols, NULL);
	if (r == 0)
		session_table_audit_by(daemon->table, daemon->auditor);
	if (r == 0)
		r = attach_scan_new(&daemon->scan, uv, daemon->table, daemon->reader,
			daemon->options.socket_dir);
	if (r == 0)
		r = api_handlers_new(&daemon->handlers);
	return r;
}

static int listen_for_agents(struct daemon *daemon)
{
	/* A worker of any user may hand its segment to root's daemon, which asks the kernel who it
	 * is. */
	mode_t mode = geteuid() == 0 ? 0666 : 0600;
	int fd = socket_dir_bind(
		daemon->directory, SOCKET_DIR_AGENTS, SOCK_SEQPACKET, mode, (gid_t)-1);
	if (fd < 0)
		return fd;
	return agent_listener_new(
		&daemon->listener, event_loop_uv(daemon->loop), fd, daemon->table, daemon->reader);
}

static int listen_for_clients(struct daemon *daemon)
{
	mode_t mode = daemon->group != (gid_t)-1 ? 0660 : 0600;
	int fd = socket_dir_bind(
		daemon->directory, SOCKET_DIR_CLIENTS, SOCK_STREAM, mode, daemon->group);
	if (fd < 0)
		return fd;
	struct api_server_options options = {
		.group = daemon->group,
		.max_connections = MAX_API_CONNECTIONS,
		.max_held_bytes = MAX_HELD_BYTES,
		.stall_ms = STALL_MS,
		.handle = api_handlers_handle,
		.data = daemon->handlers,
	};
	return api_server_new(&daemon->server, event_loop_uv(daemon->loop), fd, &options);
}

static void connect_handlers(struct daemon *daemon)
{
	struct api_handlers_parts parts = {
		.table = daemon->table,
		.scan = daemon->scan,
		.builder = daemon->builder,
		.auditor = daemon->auditor,
		.scheduler = daemon->scheduler,
		.symbols = daemon->symbols,
		.places = daemon->places,
		.reader = daemon->reader,
		.listener = daemon->listener,
		.server = daemon->server,
	};
	api_handlers_set_parts(daemon->handlers, &parts);
}

static int serve(struct daemon *daemon)
{
	int r = listen_for_agents(daemon);
	if (r == 0)
		r = listen_for_clients(daemon);
	if (r < 0)
		return r;
	connect_handlers(daemon);
	attach_scan_start(daemon->scan);
	log_info("serving %s", daemon->options.socket_dir);
	if (daemon->options.ready_fd >= 0) {
		if (write(daemon->options.ready_fd, "ready\n", 6) != 6)
			log_warning("--ready-fd: nobody reads it");
		close(daemon->options.ready_fd);
	}
	event_loop_run(daemon->loop);
	return 0;
}

/* False: something hangs, and only _exit() helps. */
static bool take_apart(struct daemon *daemon)
{
	api_server_free(daemon->server);
	agent_listener_free(daemon->listener);
	attach_scan_free(daemon->scan);
	snapshot_builder_free(daemon->builder);
	session_table_free(daemon->table);
	auditor_free(daemon->auditor);
	api_handlers_free(daemon->handlers);
	module_files_free(daemon->files);
	symbol_client_free(daemon->symbols);
	drain_scheduler_free(daemon->scheduler);
	map_places_free(daemon->places);
	process_reader_free(daemon->reader);
	socket_dir_free(daemon->directory);
	bool clean = daemon->loop == NULL || event_loop_free(daemon->loop) == 0;
	options_deinit(&daemon->options);
	return clean;
}

/*
 * Snapshots come and go by tens of MiB on four pool threads. Left to itself glibc keeps an arena
 * for each and learns to serve large blocks from them: half a GiB after some thirty snapshots of a
 * large worker. One arena, and large blocks always by mmap, give it back (the thresholds stop that
 * learning).
 */
static void give_memory_back(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int main(int argc, char **argv)
{
	struct daemon daemon = {0};
	give_memory_back();
	log_init("spprofd", LOG_LEVEL_WARNING);
	int r = options_parse(&daemon.options, argc, argv);
	if (r != 0) {
		options_deinit(&daemon.options);
		return r == OPTIONS_DONE ? EXIT_SUCCESS : EXIT_USAGE;
	}
	log_init("spprofd", daemon.options.log_level);
	r = prepare(&daemon);
	if (r == 0)
		r = socket_dir_new(&daemon.directory, daemon.options.socket_dir);
	if (r == 0)
		r = make_parts(&daemon);
	if (r == 0)
		r = serve(&daemon);
	int status = r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (!take_apart(&daemon))
		_exit(status);
	return status;
}
