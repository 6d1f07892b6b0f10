/*
 * A link's text is asked before anything is opened: it costs no system call that the file's owner
 * could delay. What is called like a segment is opened by ingest, which trusts nothing about it. A
 * process with ten thousand descriptors takes some ten milliseconds: that is why this is not for
 * the loop's thread.
 */
#include "config.h"
#include "server/proc_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ingest/segment_map.h"
#include "spprof/wire/segment.h"

#define ENVIRONMENT_MAX (256u << 10)
#define LINK_PREFIX	"/memfd:" WIRE_MEMFD_NAME " "

void proc_walk_find_deinit(struct proc_walk_find *find)
{
	for (unsigned i = 0; i < find->segment_count; i++)
		segment_map_free(find->segments[i]);
	find->segment_count = 0;
	free(find->wants);
	find->wants = NULL;
	process_handle_close(&find->process);
}

static bool called_segment(int directory, const char *name)
{
	char text[sizeof LINK_PREFIX];
	ssize_t size = readlinkat(directory, name, text, sizeof text - 1);
	return size == sizeof text - 1 && memcmp(text, LINK_PREFIX, sizeof text - 1) == 0;
}

static bool known(const struct proc_walk_find *find, const struct segment_map *segment)
{
	const struct segment_info *info = segment_map_info(segment);
	for (unsigned i = 0; i < find->segment_count; i++) {
		const struct segment_info *other = segment_map_info(find->segments[i]);
		if (other->device == info->device && other->inode == info->inode)
			return true;
	}
	return false;
}

static void open_segment(struct proc_walk_find *find, int directory, const char *name)
{
	struct segment_map *segment;
	if (segment_map_open(&segment, directory, name, &find->refused) < 0)
		return;
	if (known(find, segment))
		segment_map_free(segment);
	else
		find->segments[find->segment_count++] = segment;
}

static int look_at_descriptors(struct proc_walk_find *find)
{
	int fd = find->process.proc_fd < 0
			 ? -1
			 : openat(find->process.proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -EACCES;
	DIR *descriptors = fdopendir(fd);
	if (descriptors == NULL) {
		close(fd);
		return -ENOMEM;
	}
	struct dirent *entry;
	while (find->segment_count < PROC_WALK_MAX_SEGMENTS &&
		(entry = readdir(descriptors)) != NULL)
		if (called_segment(fd, entry->d_name))
			open_segment(find, fd, entry->d_name);
	closedir(descriptors);
	return 0;
}

char *proc_walk_find_directory(const char *environment, size_t size)
{
	static const char name[] = "SPPROF_SOCKET=";
	const char *at = environment, *end = environment + size;
	while (at < end) {
		size_t length = strnlen(at, (size_t)(end - at));
		if (length >= sizeof name && memcmp(at, name, sizeof name - 1) == 0) {
			char *value = alloc_zeroed(1, length + 1);
			memcpy(value, at + sizeof name - 1, length - (sizeof name - 1));
			return value;
		}
		at += length + 1;
	}
	return NULL;
}

/* Where the process can have been told: by its environment at its start, which is what the agent
 * looked at. */
static void ask_where_to(struct proc_walk_find *find)
{
	struct stat st;
	char *text = alloc_zeroed(1, ENVIRONMENT_MAX);
	ssize_t size = process_handle_read(&find->process, "environ", text, ENVIRONMENT_MAX);
	if (size > 0)
		find->wants = proc_walk_find_directory(text, (size_t)size);
	free(text);
	find->uid = fstat(find->process.proc_fd, &st) == 0 ? st.st_uid : (uid_t)-1;
}

int proc_walk_look(pid_t pid, struct proc_walk_find *out)
{
	struct proc_walk_find find = {.process = PROCESS_HANDLE_INIT};
	int r = process_handle_open(&find.process, pid, -1);
	if (r == 0)
		r = look_at_descriptors(&find);
	if (r < 0) {
		proc_walk_find_deinit(&find);
		return r == -EINVAL ? -ESRCH : r;
	}
	if (find.segment_count > 0)
		ask_where_to(&find);
	*out = find;
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = ((const struct proc_walk_seen *)a)->pid,
	      y = ((const struct proc_walk_seen *)b)->pid;
	return (x > y) - (x < y);
}

static uint32_t looks_before(const struct proc_walk_list *before, pid_t pid)
{
	struct proc_walk_seen key = {.pid = pid};
	const struct proc_walk_seen *found =
		before->count == 0
			? NULL
			: bsearch(&key, before->items, before->count, sizeof key, compare_pids);
	return found != NULL ? found->looks : 0;
}

static bool owned_by_us(int proc, const char *name)
{
	struct stat st;
	return fstatat(proc, name, &st, 0) == 0 && st.st_uid == geteuid();
}

static void append(struct proc_walk_list *list, size_t *room, struct proc_walk_seen item)
{
	if (list->count == *room) {
		*room = *room > 0 ? *room * 2 : 256;
		list->items = alloc_resize(list->items, *room, sizeof item);
	}
	list->items[list->count++] = item;
}

int proc_walk_processes(
	const struct proc_walk_list *before, bool own_uid_only, struct proc_walk_list *out)
{
	*out = (struct proc_walk_list){0};
	DIR *proc = opendir("/proc");
	if (proc == NULL)
		return -errno;
	size_t room = 0;
	struct dirent *entry;
	while ((entry = readdir(proc)) != NULL) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		if (*end != '\0' || pid <= 0 || pid == getpid())
			continue;
		if (!own_uid_only || owned_by_us(dirfd(proc), entry->d_name))
			append(out, &room,
				(struct proc_walk_seen){.pid = (pid_t)pid,
					.looks = looks_before(before, (pid_t)pid)});
	}
	closedir(proc);
	/* /proc happens to list by number; nothing promises it. */
	if (out->count > 0)
		qsort(out->items, out->count, sizeof *out->items, compare_pids);
	return 0;
}

void proc_walk_list_deinit(struct proc_walk_list *list)
{
	free(list->items);
	*list = (struct proc_walk_list){0};
}
