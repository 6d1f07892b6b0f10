/*
 * The helper has read hostile files: every reply must be what the file's stage allows and must
 * answer exactly what was asked, in order, or it is nonsense and the helper is ended.
 */
#include "server/symbol_replies.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "server/background_close.h"
#include "server/symbol_dialogue.h"

#define MAX_STALE 16

void symbol_replies_found(void *data, uint32_t key, int fd)
{
	struct symbol_dialogue *dialogue = data;
	struct symbol_files_entry *file = symbol_files_get(dialogue->files, key);
	if (!file || file->stage != SYMBOL_FILES_SEARCHING) { /* the helper died meanwhile */
		if (fd >= 0)
			background_close(fd);
		return;
	}
	file->found = fd < 0 ? -1 : fd;
	symbol_dialogue_set_stage(dialogue, file, fd < 0 ? SYMBOL_FILES_OPEN : SYMBOL_FILES_FOUND);
	dialogue->changed(dialogue->data);
}

static bool copy_id(struct debug_file_id *out, ProtobufCBinaryData bytes)
{
	if (bytes.len > sizeof(out->bytes))
		return false;
	out->size = bytes.len;
	if (bytes.len)
		memcpy(out->bytes, bytes.data, bytes.len);
	return true;
}

static bool copy_name(char *out, size_t room, ProtobufCBinaryData bytes)
{
	if (bytes.len >= room || (bytes.len && memchr(bytes.data, '\0', bytes.len)))
		return false;
	if (bytes.len)
		memcpy(out, bytes.data, bytes.len);
	out[bytes.len] = '\0';
	return true;
}

static bool search(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	ProtobufCBinaryData id, ProtobufCBinaryData name, bool supplement)
{
	char text[1024];
	struct debug_search_request request = {
		.name = text,
		.supplement = supplement,
		.binary_fd = file->fd,
		.file = file->key,
	};
	if (!copy_id(&request.id, id) || !copy_name(text, sizeof(text), name))
		return false;
	file->found_supplement = supplement;
	file->stage = SYMBOL_FILES_SEARCHING;
	if (!debug_search_start(&dialogue->searches, &request))
		symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_OPEN);
	return true;
}

static bool search_supplement(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerSupplement *supplement)
{
	return search(dialogue, file, supplement->build_id, supplement->path, true);
}

static bool on_opened(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerOpened *opened)
{
	struct debug_file_id id;
	if (file->stage != SYMBOL_FILES_OPENING || !copy_id(&id, opened->build_id))
		return false;
	for (size_t i = 0; i < id.size; i++)
		sprintf(file->build_id + 2 * i, "%02x", id.bytes[i]);
	if (opened->has_lines && opened->supplement)
		return search_supplement(dialogue, file, opened->supplement);
	if (!opened->has_lines && (opened->build_id.len || opened->debug_link.len))
		return search(dialogue, file, opened->build_id, opened->debug_link, false);
	symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_OPEN);
	return true;
}

static bool on_attached(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerAttached *attached)
{
	if (file->stage != SYMBOL_FILES_ATTACHING)
		return false;
	if (attached->supplement && !file->found_supplement)
		return search_supplement(dialogue, file, attached->supplement);
	symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_OPEN);
	return true;
}

static bool on_answers(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerAnswers *answers)
{
	size_t count = answers->n_answers;
	if (file->stage != SYMBOL_FILES_ASKED || count == 0 || count > file->in_flight ||
		(answers->more != (count < file->in_flight)))
		return false;
	for (size_t i = 0; i < count; i++) {
		const Spprof__V1__SymbolizerAnswer *answer = answers->answers[i];
		if (answer->offset != file->queue[file->queue_head])
			return false;
		if (!symbol_files_answer(dialogue->files, file, answer))
			dialogue->stats.offsets_dropped++;
		dialogue->stats.offsets_answered++;
		file->in_flight--;
	}
	file->deaths = file->stale = 0;
	if (!answers->more)
		symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_OPEN);
	return true;
}

/* The helper has closed the file. True: that can happen. */
static bool on_stale(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	dialogue->stats.files_reopened++;
	symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_CLOSED);
	return ++file->stale < MAX_STALE;
}

static bool on_error(struct symbol_dialogue *dialogue, struct symbol_files_entry *file, int error)
{
	char text[256];
	switch (file->stage) {
	case SYMBOL_FILES_OPENING:
		if (error != ENOEXEC && error != EINVAL)
			return false;
		log_info("no functions of %s: it is no program or library",
			symbol_files_describe(file, text, sizeof(text)));
		symbol_files_give_up(dialogue->files, file);
		return true;
	case SYMBOL_FILES_ATTACHING:
		if (error == ESTALE)
			return on_stale(dialogue, file);
		symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_OPEN);
		return true;
	case SYMBOL_FILES_ASKED:
		return error == ESTALE && on_stale(dialogue, file);
	default:
		return false;
	}
}

bool symbol_replies_take(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	const Spprof__V1__SymbolizerReply *reply)
{
	if (reply->error)
		return on_error(dialogue, file, reply->error);
	switch (reply->kind_case) {
	case SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED:
		return on_opened(dialogue, file, reply->opened);
	case SPPROF__V1__SYMBOLIZER_REPLY__KIND_ATTACHED:
		return on_attached(dialogue, file, reply->attached);
	case SPPROF__V1__SYMBOLIZER_REPLY__KIND_ANSWERS:
		return on_answers(dialogue, file, reply->answers);
	default:
		return false;
	}
}
