/* Both sides check with the same function what the other one sent. */
#include "config.h"
#include "ingest/proc_packet.h"
#include <errno.h>
#include <stdbool.h>

#define MAX_ERRNO 4095

static bool check_ask(const struct proc_packet_ask *ask)
{
	return ask->files > 0 && ask->files < PROC_FILE_BIT(PROC_FILES);
}

static bool check_piece(const struct proc_packet_piece *piece, size_t size)
{
	size_t bytes = size - sizeof(*piece);

	if (piece->file >= PROC_FILES || bytes > PROC_FILE_PIECE)
		return false;
	return bytes <= proc_file_max(piece->file) &&
	       (bytes == 0) == proc_file_is_passed(piece->file);
}

static bool check_end(const struct proc_packet_end *end)
{
	for (unsigned i = 0; i < PROC_FILES; i++)
		if (end->results[i] > 0 || end->results[i] < -MAX_ERRNO)
			return false;
	return true;
}

static bool check_body(const void *bytes, uint32_t kind, size_t size)
{
	switch (kind) {
	case PROC_PACKET_ASK:
		return size == sizeof(struct proc_packet_ask) && check_ask(bytes);
	case PROC_PACKET_PIECE:
		return size >= sizeof(struct proc_packet_piece) && check_piece(bytes, size);
	case PROC_PACKET_END:
		return size == sizeof(struct proc_packet_end) && check_end(bytes);
	default:
		return false;
	}
}

int proc_packet_check(const void *bytes, size_t size)
{
	const struct proc_packet *head = bytes;

	if (size < sizeof(*head) || head->version != PROC_PACKET_VERSION)
		return -EBADMSG;
	return check_body(bytes, head->kind, size) ? (int)head->kind : -EBADMSG;
}
