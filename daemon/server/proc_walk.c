/*
 * What is called like a segment is opened by ingest, which trusts nothing about it. Listing /proc
 * asks nothing of the processes; with thousands of them it takes milliseconds, which are not for the
 * loop's thread.
 */
#include "config.h"
#include "server/proc_walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "ingest/segment_map.h"
#include "server/process_texts.h"

void proc_walk_find_deinit(struct proc_walk_find *find)
{
	for (unsigned i = 0; i < find->segment_count; i++)
		segment_map_free(find->segments[i]);
	find->segment_count = 0;
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

void proc_walk_find_init(struct proc_walk_find *find, const struct process_texts *texts)
{
	struct segment_map *segment;
	*find = (struct proc_walk_find){0};
	for (unsigned i = 0; i < texts->segment_count; i++) {
		if (find->segment_count == PROC_WALK_MAX_SEGMENTS)
			return;
		if (segment_map_open_path(&segment, texts->segment_fds[i], &find->refused) < 0)
			continue;
		if (known(find, segment))
			segment_map_free(segment);
		else
			find->segments[find->segment_count++] = segment;
	}
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

static uid_t owner(int proc, const char *name)
{
	struct stat st;
	return fstatat(proc, name, &st, 0) == 0 ? st.st_uid : (uid_t)-1;
}

static void append(struct proc_walk_list *list, size_t *room, struct proc_walk_seen item)
{
	ALLOC_GROW(list->items, *room, list->count);
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
		uid_t uid = owner(dirfd(proc), entry->d_name);
		if (!own_uid_only || uid == geteuid())
			append(out, &room,
				(struct proc_walk_seen){.pid = (pid_t)pid,
					.uid = uid,
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
