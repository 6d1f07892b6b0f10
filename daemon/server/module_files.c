/*
 * A job owns copies of all that it reads, so that whoever asked may go away. Jobs count against
 * their user's share until they end, cancelled or not: a hanging one goes on occupying a pool
 * thread.
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

#define MAX_JOBS	 8u /* of MODULE_FILES_THREADS pool threads */
#define MAX_JOBS_PER_UID 2u

struct job_file {
	struct module_info info; /* owns the path */
	struct symbol_file identity;
	int fd; /* owns; negative: none */
};

struct job {
	uv_work_t request;
	struct module_files *owner; /* NULL: freed meanwhile */
	struct job *next;
	uint64_t handle;
	uid_t uid;
	int proc_fd;		/* owns */
	struct job_file *files; /* owns */
	uint32_t count;
	void (*done)(const uint32_t *keys, void *data); /* NULL: cancelled */
	void *data;
};

struct module_files {
	struct uv_loop_s *loop;
	struct symbol_client *client; /* borrows */
	struct job *jobs;	      /* under way; they own themselves */
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

struct module_files *module_files_free(struct module_files *files)
{
	if (files == NULL)
		return NULL;
	for (struct job *job = files->jobs; job != NULL; job = job->next)
		job->owner = NULL;
	free(files);
	return NULL;
}

/* On a pool thread. */
static void open_files(uv_work_t *request)
{
	struct job *job = request->data;
	for (uint32_t i = 0; i < job->count; i++)
		job->files[i].fd =
			module_file_open(&job->files[i].info, job->proc_fd, &job->files[i].identity);
}

static void free_job(struct job *job)
{
	for (uint32_t i = 0; i < job->count; i++) {
		if (job->files[i].fd >= 0)
			background_close(job->files[i].fd);
		free((char *)job->files[i].info.path);
	}
	if (job->proc_fd >= 0)
		close(job->proc_fd);
	free(job->files);
	free(job);
}

static void register_files(struct module_files *owner, struct job *job)
{
	uint32_t *keys = alloc_zeroed(job->count + 1, sizeof *keys);
	for (uint32_t i = 0; i < job->count; i++) {
		struct job_file *file = &job->files[i];
		if (file->fd < 0)
			continue;
		keys[i] = symbol_client_file(owner->client, &file->identity, file->fd);
		file->fd = -1;
	}
	if (job->done != NULL)
		job->done(keys, job->data);
	free(keys);
}

static void after_open(uv_work_t *request, int status)
{
	struct job *job = request->data;
	struct module_files *owner = job->owner;
	(void)status;
	if (owner != NULL) {
		struct job **at = &owner->jobs;
		while (*at != job)
			at = &(*at)->next;
		*at = job->next;
		register_files(owner, job);
	}
	free_job(job);
}

static bool has_place(const struct module_files *files, uid_t uid)
{
	uint32_t all = 0, theirs = 0;
	for (const struct job *job = files->jobs; job != NULL; job = job->next) {
		all++;
		theirs += job->uid == uid;
	}
	return all < MAX_JOBS && theirs < MAX_JOBS_PER_UID;
}

uint64_t module_files_open(struct module_files *files, uid_t uid, int proc_fd,
	const struct module_info *infos, uint32_t count,
	void (*done)(const uint32_t *keys, void *data), void *data)
{
	if (!has_place(files, uid))
		return 0;
	struct job *job = alloc_zeroed(1, sizeof *job);
	job->request.data = job;
	job->owner = files;
	job->handle = ++files->last_handle;
	job->uid = uid;
	job->proc_fd = proc_fd >= 0 ? fcntl(proc_fd, F_DUPFD_CLOEXEC, 3) : -1;
	job->files = alloc_zeroed(count + 1, sizeof *job->files);
	job->count = count;
	for (uint32_t i = 0; i < count; i++) {
		job->files[i].info = infos[i];
		job->files[i].info.path = alloc_strdup(infos[i].path);
		job->files[i].fd = -1;
	}
	job->done = done;
	job->data = data;
	job->next = files->jobs;
	files->jobs = job;
	uv_queue_work(files->loop, &job->request, open_files, after_open);
	return job->handle;
}

void module_files_cancel(struct module_files *files, uint64_t handle)
{
	for (struct job *job = files->jobs; job != NULL; job = job->next)
		if (job->handle == handle)
			job->done = NULL;
}
