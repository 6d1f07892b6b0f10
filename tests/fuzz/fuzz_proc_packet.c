/*
 * What spprof-proc-reader sends, which has read hostile files: packets, each with two bytes of its
 * size ahead. What passes the check is put together as the daemon does it, and read.
 */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/proc_packet.h"
#include "server/process_image.h"
#include "server/process_info.h"
#include "server/process_texts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

static void take_piece(
	struct process_texts *texts, const struct proc_packet_piece *piece, size_t size)
{
	size_t bytes = size - sizeof(*piece), before, after;

	check(piece->file < PROC_FILES && bytes <= PROC_FILE_PIECE);
	check((bytes == 0) == proc_file_is_passed(piece->file));
	process_texts_begin(texts, piece->file, &before);
	int r = process_texts_append(texts, piece->file, piece->bytes, bytes, -1);
	const char *text = process_texts_begin(texts, piece->file, &after);
	check(after <= proc_file_max(piece->file) && text[after] == '\0');
	check(r == 0 ? after == before + bytes : after == before);
}

static void take_end(struct process_texts *texts, const struct proc_packet_end *end)
{
	for (unsigned i = 0; i < PROC_FILES; i++) {
		check(end->results[i] <= 0);
		process_texts_end(texts, i, end->results[i]);
	}
}

static void take(struct process_texts *texts, const uint8_t *bytes, size_t size)
{
	void *packet = malloc(size > 0 ? size : 1); /* aligned, and exactly so large */

	memcpy(packet, bytes, size);
	int kind = proc_packet_check(packet, size);
	if (kind == PROC_PACKET_PIECE)
		take_piece(texts, packet, size);
	else if (kind == PROC_PACKET_END)
		take_end(texts, packet);
	free(packet);
}

static void use(const struct process_texts *texts)
{
	struct process_info info;
	struct process_image image;

	if (process_info_of(texts, &info) == 0) {
		check(strlen(info.comm) < sizeof(info.comm));
		check(info.exe != NULL && strlen(info.command_line) <= PROC_FILE_TEXT_MAX);
		process_info_deinit(&info);
	}
	process_image_of(texts, &image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct process_texts *texts = process_texts_new();

	while (size >= 2) {
		size_t packet = data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		packet = packet < size ? packet : size;
		take(texts, data, packet);
		data += packet;
		size -= packet;
	}
	use(texts);
	process_texts_free(texts);
	return 0;
}
