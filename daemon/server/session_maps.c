/*
 * The kernel's text of /proc/PID/maps is read when a record names unknown code, at most so often
 * that it stays a small share of the time, and ever more seldom while it brings nothing new (JIT
 * code, a hostile worker). It is read elsewhere (process_reader.h); the session's records wait for it,
 * but not for long: a worker can make the reading of its mappings wait for ever, and goes on without
 * the names of its code then.
 */
#include "config.h"
#include "server/session_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "ingest/segment_map.h"
#include "server/maps_text.h"
#include "server/module_map.h"
#include "server/process_handle.h"
#include "server/process_texts.h"
#include "server/symbol_client.h"
#include "server/wall_clock.h"

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
	process_reader_forget(&maps->ask);
	maps->modules = module_map_free(maps->modules);
	free(maps->files);
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

/* An exec takes the segment's mapping away, and leaves it to no other program. Of very many mappings the last ones are
 * not read; the segment is mostly one of these, for it is mapped early, and others below it. */
int session_maps_take(struct session_maps *maps, const struct process_texts *texts, uint32_t epoch)
{
	size_t size;
	const char *text = process_texts_get(texts, PROC_FILE_MAPS, &size);
	if (text == NULL)
		return process_texts_result(texts, PROC_FILE_MAPS);
	/* Empty: a zombie, which has no mappings any more; what it had is still of use. */
	if (size == 0)
		return -ESRCH;
	bool whole = size < proc_file_max(PROC_FILE_MAPS);
	bool has = session_maps_has(text, size, maps->device, maps->inode);
	maps->replaced |= whole && !has;
	if (maps->replaced)
		return -ESTALE;
	if (whole)
		module_map_update(maps->modules, text, size, MODULE_MAP_KERNEL, epoch);
	else
		module_map_update_beginning(maps->modules, text, size, MODULE_MAP_KERNEL, epoch);
	return has ? 0 : -EFBIG;
}

/* Rests for longer while nothing new comes, and in proportion to how long it took. */
static void rest(struct session_maps *maps, bool new)
{
	uint64_t end = wall_clock_monotonic_ns(), took = end - maps->asked_ns;
	uint64_t pause = new ? REFRESH_MIN_NS : maps->refresh_pause_ns * 2;
	if (pause > REFRESH_MAX_NS)
		pause = REFRESH_MAX_NS;
	maps->refresh_pause_ns = pause;
	maps->refresh_after_ns =
		end + (pause > took * REFRESH_SHARE ? pause : took * REFRESH_SHARE);
}

static void on_read(struct process_texts *texts, void *data)
{
	struct session_maps *maps = data;
	uint32_t known = module_map_count(maps->modules);
	session_maps_take(maps, texts, maps->epoch);
	process_texts_free(texts);
	maps->refreshes++;
	rest(maps, module_map_count(maps->modules) != known);
	if (maps->wake != NULL)
		maps->wake(maps->data);
}

static void begin_refresh(struct session_maps *maps, uint32_t epoch, uint64_t now)
{
	maps->ask.files = PROC_FILE_BIT(PROC_FILE_MAPS);
	maps->ask.done = on_read;
	maps->ask.data = maps;
	maps->epoch = epoch;
	maps->asked_ns = now;
	if (process_reader_ask(maps->reader, &maps->ask, maps->process) < 0)
		rest(maps, false);
}

bool session_maps_refresh(uint32_t epoch, void *data)
{
	struct session_maps *maps = data;
	uint64_t now = wall_clock_monotonic_ns();
	if (maps->ask.reader == NULL && now >= maps->refresh_after_ns &&
		maps->process->proc_fd >= 0)
		begin_refresh(maps, epoch, now);
	return maps->ask.reader != NULL && now - maps->asked_ns < maps->hold_ns;
}

void session_maps_begin(struct session_maps *maps, const struct segment_map *segment,
	const struct process_texts *texts)
{
	struct buffer text = BUFFER_INIT;
	if (segment_map_maps_text(segment, &text) == 0 && text.size > 0)
		module_map_update(
			maps->modules, (const char *)text.data, text.size, MODULE_MAP_WORKER, 0);
	buffer_deinit(&text);
	session_maps_take(maps, texts, 0);
	maps->refresh_pause_ns = REFRESH_MIN_NS;
}

struct symbol_file *session_maps_file(struct session_maps *maps, uint32_t module)
{
	if (module >= maps->file_count) {
		uint32_t count = module_map_count(maps->modules);
		maps->files = alloc_resize(maps->files, count, sizeof maps->files[0]);
		memset(&maps->files[maps->file_count], 0,
			(count - maps->file_count) * sizeof maps->files[0]);
		maps->file_count = count;
	}
	return &maps->files[module];
}

size_t session_maps_bytes(const struct session_maps *maps)
{
	return module_map_bytes(maps->modules) + maps->file_count * sizeof maps->files[0];
}
