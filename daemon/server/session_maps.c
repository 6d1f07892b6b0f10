/*
 * The kernel's text of /proc/PID/maps is read when a record names unknown code, at most so often
 * that it stays a small share of the time, and ever more seldom while it brings nothing new (JIT
 * code, a hostile worker).
 */
#include "config.h"
#include "server/session_maps.h"

#include <errno.h>

#include "base/buffer.h"
#include "ingest/segment_map.h"
#include "server/maps_text.h"
#include "server/module_map.h"
#include "server/process_handle.h"
#include "server/wall_clock.h"

#define MAPS_MAX       (8u << 20)
#define REFRESH_MIN_NS UINT64_C(20000000)
#define REFRESH_MAX_NS UINT64_C(5000000000)
#define REFRESH_SHARE  20u /* at most one part in so many of the time goes into reading maps */

int session_maps_init(struct session_maps *maps, const struct process_handle *process,
	const struct segment_map *segment)
{
	const struct segment_info *info = segment_map_info(segment);
	*maps = (struct session_maps){
		.process = process, .device = info->device, .inode = info->inode};
	return module_map_new(&maps->modules);
}

void session_maps_deinit(struct session_maps *maps)
{
	maps->modules = module_map_free(maps->modules);
}

/* By the fields of each line: a file's name may hold anything, another mapping's line too. */
bool session_maps_has(const char *text, size_t size, dev_t device, ino_t inode)
{
	struct maps_text lines = {text, text + size};
	struct maps_line line;
	enum maps_text_result r;
	while ((r = maps_text_next(&lines, &line)) != MAPS_TEXT_END)
		if (r == MAPS_TEXT_LINE && line.device == device && line.inode == inode)
			return true;
	return false;
}

/* Appends /proc/PID/maps; as session_maps_look. An exec takes the segment's mapping away, and leaves
 * it to no other program. */
static int read_kernel_text(struct session_maps *maps, struct buffer *text)
{
	char *room = (char *)buffer_reserve(text, MAPS_MAX);
	ssize_t size = process_handle_read(maps->process, "maps", room, MAPS_MAX);
	if (size < 0)
		return (int)size;
	/* Empty: a zombie, which has no mappings any more; what it had is still of use. */
	if (size == 0)
		return -ESRCH;
	text->size += (size_t)size;
	maps->replaced |= !session_maps_has(room, (size_t)size, maps->device, maps->inode);
	return maps->replaced ? -ESTALE : 0;
}

static bool read_kernel_maps(struct session_maps *maps, uint32_t epoch)
{
	struct buffer text = BUFFER_INIT;
	bool ours = read_kernel_text(maps, &text) == 0;
	if (ours)
		module_map_update(maps->modules, (const char *)text.data, text.size,
			MODULE_MAP_KERNEL, epoch);
	buffer_deinit(&text);
	return ours;
}

bool session_maps_refresh(uint32_t epoch, void *data)
{
	struct session_maps *maps = data;
	uint64_t begin = wall_clock_monotonic_ns();
	if (maps->process->proc_fd < 0 || begin < maps->refresh_after_ns)
		return false;
	uint32_t known = module_map_count(maps->modules);
	bool read = read_kernel_maps(maps, epoch);
	maps->refreshes++;
	uint64_t end = wall_clock_monotonic_ns(), pause = maps->refresh_pause_ns * 2;
	if (module_map_count(maps->modules) != known)
		pause = REFRESH_MIN_NS;
	if (pause > REFRESH_MAX_NS)
		pause = REFRESH_MAX_NS;
	maps->refresh_pause_ns = pause;
	maps->refresh_after_ns =
		end +
		(pause > (end - begin) * REFRESH_SHARE ? pause : (end - begin) * REFRESH_SHARE);
	return read;
}

void session_maps_read(struct session_maps *maps, const struct segment_map *segment)
{
	struct buffer text = BUFFER_INIT;
	if (segment_map_maps_text(segment, &text) == 0 && text.size > 0)
		module_map_update(
			maps->modules, (const char *)text.data, text.size, MODULE_MAP_WORKER, 0);
	buffer_deinit(&text);
	read_kernel_maps(maps, 0);
	maps->refresh_pause_ns = REFRESH_MIN_NS;
}

int session_maps_look(struct session_maps *maps)
{
	struct buffer text = BUFFER_INIT;
	int r = read_kernel_text(maps, &text);
	buffer_deinit(&text);
	return r;
}
