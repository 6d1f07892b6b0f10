/*
 * A job owns copies of all that it reads, so that whoever asked may go away. Jobs wait in a queue
 * until their user has a place on the pool; one that runs keeps it until it ends, cancelled or not,
 * since a hanging open goes on occupying its thread. Whoever asks has a deadline, so nobody waits
 * for ever.
 */
#include "config.h"
#include "server/module_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "server/background_close.h"
#include "server/module_file.h"
#include "server/symbol_client.h"

#define MAX_JOBS	 8u /* main() gives the pool twice as many threads */
#define MAX_JOBS_PER_UID 2u

struct job {
	uv_work_t request;
	struct module_files *owner; /* NULL: freed meanwhile */
	struct job *next;
	bool running;
	uint64_t handle;
	uid_t uid;
	int proc_fd; /* owns */
	uint32_t count;
	struct module_info *infos;	/* owns, the paths too */
	struct symbol_file *identities; /* owns */
	int *fds;			/* owns; negative: none */
	void (*done)(const uint32_t *keys, const struct symbol_file *identities, void *data);
	void *data;
};

struct module_files {
	struct uv_loop_s *loop;
	struct symbol_client *client; /* borrows */
	struct job *jobs;	      /* the oldest first; those that run own themselves */
	uint64_t last_handle;
};

int module_files_new(
	struct module_files **out, struct uv_loop_s *loop, struct symbol_client *client)
{
	struct module_files *files = alloc_zeroed(1, sizeof *files);
	files->loop = loop;
	files->client = client;
	*out = files;
	return 0;
}

static void free_job(struct job *job)
{
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->fds[i] >= 0)
			background_close(job->fds[i]);
		free((char *)job->infos[i].path);
	}
	if (job->proc_fd >= 0)
		close(job->proc_fd);
	free(job->infos);
	free(job->identities);
	free(job->fds);
	free(job);
}

struct module_files *module_files_free(struct module_files *files)
{
	if (files == NULL)
		return NULL;
	for (struct job *job = files->jobs, *next; job != NULL; job = next) {
		next = job->next;
		job->owner = NULL;
		if (!job->running)
			free_job(job);
	}
	free(files);
	return NULL;
}

static void unlink_job(struct job *job)
{
	struct job **at = &job->owner->jobs;
	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
}

/* On a pool thread. */
static void open_all(uv_work_t *request)
{
	struct job *job = request->data;
	for (uint32_t i = 0; i < job->count; i++)
		job->fds[i] = module_file_open(&job->infos[i], job->proc_fd, &job->identities[i]);
}

static void register_files(struct module_files *owner, struct job *job)
{
	uint32_t *keys = alloc_zeroed(job->count + 1, sizeof *keys);
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->fds[i] < 0)
			continue;
		keys[i] = symbol_client_file(owner->client, &job->identities[i], job->fds[i]);
		job->fds[i] = -1;
	}
	if (job->done != NULL)
		job->done(keys, job->identities, job->data);
	free(keys);
}

static void run_waiting(struct module_files *files);

static void after_open(uv_work_t *request, int status)
{
	struct job *job = request->data;
	struct module_files *owner = job->owner;
	(void)status;
	if (owner != NULL) {
		unlink_job(job);
		register_files(owner, job);
		run_waiting(owner);
	}
	free_job(job);
}

static bool has_place(const struct module_files *files, uid_t uid)
{
	uint32_t all = 0, theirs = 0;
	for (const struct job *job = files->jobs; job != NULL; job = job->next) {
		all += job->running;
		theirs += job->running && job->uid == uid;
	}
	return all < MAX_JOBS && theirs < MAX_JOBS_PER_UID;
}

static void run_waiting(struct module_files *files)
{
	for (struct job *job = files->jobs; job != NULL; job = job->next) {
		if (job->running || !has_place(files, job->uid))
			continue;
		job->running = true;
		uv_queue_work(files->loop, &job->request, open_all, after_open);
	}
}

uint64_t module_files_open(struct module_files *files, uid_t uid, int proc_fd,
	const struct module_info *infos, uint32_t count,
	void (*done)(const uint32_t *keys, const struct symbol_file *identities, void *data),
	void *data)
{
	struct job *job = alloc_zeroed(1, sizeof *job);
	job->request.data = job;
	job->owner = files;
	job->handle = ++files->last_handle;
	job->uid = uid;
	job->proc_fd = proc_fd >= 0 ? fcntl(proc_fd, F_DUPFD_CLOEXEC, 3) : -1;
	job->count = count;
	job->infos = alloc_zeroed(count + 1, sizeof *job->infos);
	job->identities = alloc_zeroed(count + 1, sizeof *job->identities);
	job->fds = alloc_zeroed(count + 1, sizeof *job->fds);
	for (uint32_t i = 0; i < count; i++) {
		job->infos[i] = infos[i];
		job->infos[i].path = alloc_strdup(infos[i].path);
		job->fds[i] = -1;
	}
	job->done = done;
	job->data = data;
	struct job **end = &files->jobs;
	while (*end != NULL)
		end = &(*end)->next;
	*end = job;
	run_waiting(files);
	return job->handle;
}

void module_files_cancel(struct module_files *files, uint64_t handle)
{
	struct job *job = files->jobs;
	while (job != NULL && job->handle != handle)
		job = job->next;
	if (job == NULL)
		return;
	job->done = NULL;
	if (job->running)
		return;
	unlink_job(job);
	free_job(job);
}
