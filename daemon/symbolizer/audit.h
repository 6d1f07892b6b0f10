/*
 * Unwinds a copied stack by libunwind, over the bytes of the copy and the files' own unwind tables,
 * and compares what it finds with what the agent found. Opens nothing; memory is read from the
 * copy and from what the files map read-only, from nowhere else. Frames that libunwind would guess
 * where a file has no rule are not taken. Any input gives a verdict, but a hostile file's
 * expressions may take their time: the daemon's deadline bounds that. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit;
struct elf_file;

struct audit_mapping {
	const struct elf_file *file; /* borrows */
	uint64_t bias;		     /* what is added to an address in the file's program headers */
};

enum audit_end { /* of the agent's walk */
	AUDIT_END_OTHER,
	AUDIT_END_OUTERMOST,
	AUDIT_END_LIMIT, /* it keeps no more frames */
};

struct audit_stack {
	uint64_t pc, sp, fp;  /* where the agent's walk began; pc is a return address */
	const uint8_t *bytes; /* borrows; the stack from sp on */
	size_t size;
	bool whole; /* the copy reaches the stack's end */
	const uint64_t
		*frames;    /* borrows; what the agent found, innermost first; frames[0] is pc */
	size_t frame_count; /* > 0 */
	enum audit_end end;
	const struct audit_mapping *mappings; /* borrows */
	size_t mapping_count;
};

enum audit_verdict {
	AUDIT_AGREED, /* the same frames, the same end */
	AUDIT_CUT,    /* the same frames as far as the copy of the stack goes */
	AUDIT_DIFFERENT, /* in frame number `frames`; or one has it and the other takes the one before it
			    for the outermost */
	AUDIT_SHORTER, /* the agent stopped, and could have gone on */
	AUDIT_LONGER,  /* libunwind stopped: what the agent found further out is not judged */
};

enum audit_stop {	 /* why libunwind went no further */
	AUDIT_STOP_NONE, /* it was told enough */
	AUDIT_STOP_OUTERMOST,
	AUDIT_STOP_COPY,    /* what it needs lies behind the copy */
	AUDIT_STOP_NO_INFO, /* no rule for this code in the files at hand */
	AUDIT_STOP_FAILED, /* a rule that it cannot follow with the registers and bytes that it has */
};

struct audit_result {
	enum audit_verdict verdict;
	enum audit_stop stop;
	size_t frames; /* that are the same in both, from the innermost on; at least 1 */
};

int audit_new(struct audit **out);
struct audit *audit_free(struct audit *audit);
void audit_compare(
	struct audit *audit, const struct audit_stack *stack, struct audit_result *result);
