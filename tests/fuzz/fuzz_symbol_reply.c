/*
 * What a helper may send that a hostile program has taken over: the first byte says how far the
 * conversation is about a file, the rest is the packet.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <uv.h>
#include "server/symbol_dialogue.h"
#include "server/symbol_replies.h"

#define ASKED 8 /* offsets 0 … 7 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_changed(void *data)
{
	(void)data;
}

static struct symbol_files_entry *add_file(struct symbol_dialogue *dialogue, uint8_t stage)
{
	const struct symbol_file identity = {.inode = 1};
	struct symbol_files_entry *file = symbol_files_add(dialogue->files, &identity);
	symbol_files_set_fd(dialogue->files, file, memfd_create("file", MFD_CLOEXEC));
	file->pins++;
	for (uint64_t offset = 0; offset < ASKED; offset++)
		symbol_files_ask(dialogue->files, file, offset);
	file->stage = (enum symbol_files_stage)(stage % SYMBOL_FILES_GIVEN_UP);
	file->in_flight = file->stage == SYMBOL_FILES_ASKED ? ASKED : 0;
	return file;
}

/* Every offset is either still in the queue or answered, and the sums agree. */
static void check(struct symbol_files *files, const struct symbol_files_entry *file)
{
	struct symbol_lines lines = {0};
	uint64_t ticket;
	if (file->answered + file->queue_count != file->asked ||
		files->queued != file->queue_count || file->in_flight > file->queue_count + ASKED ||
		strlen(file->build_id) % 2)
		abort();
	for (uint64_t offset = 0; offset < ASKED; offset++) {
		if (symbol_cache_find(&file->cache, offset, &lines, &ticket) != SYMBOL_CACHE_KNOWN)
			continue;
		for (uint32_t i = 0; i < lines.line_count; i++)
			if (strlen(lines.lines[i].function) > 1024 ||
				strlen(lines.lines[i].file) > 1024)
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct symbol_files files;
	uv_loop_t loop;
	if (size == 0 || uv_loop_init(&loop) != 0)
		return 0;
	struct symbol_dialogue dialogue = {
		.loop = &loop,
		.files = &files,
		.program = strdup("/nonexistent"),
		.debug_root = strdup("/nonexistent"),
		.changed = on_changed,
	};
	symbol_files_init(&files, 1 << 20);
	symbol_dialogue_init(&dialogue);
	struct symbol_files_entry *file = add_file(&dialogue, data[0]);
	Spprof__V1__SymbolizerReply *reply =
		spprof__v1__symbolizer_reply__unpack(NULL, size - 1, data + 1);
	if (reply)
		symbol_replies_take(&dialogue, file, reply);
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	check(&files, file);
	symbol_dialogue_deinit(&dialogue);
	symbol_files_deinit(&files);
	if (files.cache_bytes || files.queued || files.descriptors || uv_loop_close(&loop) != 0)
		abort();
	return 0;
}
