/*
 * What spprofd and spprof-proc-reader say to each other, one packet each over a SOCK_SEQPACKET pair:
 * the daemon an ASK with the directory /proc/PID as a descriptor, one at a time; the helper PIECEs
 * of the files that are asked for, in the order of enum proc_file and as they are read, then one
 * END. What comes after the segments is not read where there is none (result -ENODATA). proc_packet_check is to be asked about all that comes. Pure; any thread; fuzzed.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ingest/proc_file.h"

#define PROC_PACKET_VERSION   1u /* of this header: the two are not always updated at one moment */
#define PROC_PACKET_MAX_BYTES (sizeof(struct proc_packet_piece) + PROC_FILE_PIECE)

enum proc_packet_kind {
	PROC_PACKET_ASK = 1,
	PROC_PACKET_PIECE,
	PROC_PACKET_END,
};

struct proc_packet {
	uint32_t version;
	uint32_t kind;
	uint64_t number; /* of the ASK */
};

struct proc_packet_ask {
	struct proc_packet head;
	uint32_t files; /* bits; at least one */
	uint32_t padding;
};

struct proc_packet_piece {
	struct proc_packet head;
	uint32_t file;
	uint32_t padding;
	uint8_t bytes[]; /* by the packet's size; none where a descriptor comes along */
};

struct proc_packet_end {
	struct proc_packet head;
	int32_t results[PROC_FILES]; /* 0 or negative errno; of what was asked for */
};

_Static_assert(PROC_FILES % 2 == 0, "no hole at the end");
_Static_assert(sizeof(struct proc_packet_piece) == 24, "texts are aligned");

/* The kind of a whole and well-formed packet, or -EBADMSG. `bytes` are 8-aligned. */
int proc_packet_check(const void *bytes, size_t size);
