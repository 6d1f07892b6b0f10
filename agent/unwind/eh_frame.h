/*
 * From a pc to the two programs that describe its frame: .eh_frame_hdr's sorted table gives the
 * entry of the function (FDE), which names the part that it shares with others (CIE). For cfi
 * alone.
 *
 * Pure, any thread, also in a signal handler; reads nothing outside [start, end) of the object.
 */
#pragma once
#include "unwind/cfi.h"
#include "unwind/cursor.h"

struct eh_frame_entry {
	uint64_t code_align; /* factors of the programs' operands */
	int64_t data_align;
	struct cursor common_program, own_program;
	uintptr_t code_start; /* of the function; its end was checked */
	uint8_t pointer_encoding;
	bool sized_augmentation; /* the FDE carries augmentation data, too */
	bool is_signal_frame;
};

/* CFI_STEP: *entry is filled in and covers `pc`; else CFI_NO_INFO or CFI_UNSUPPORTED. */
enum cfi_verdict eh_frame_find(
	const struct cfi_object *object, uintptr_t pc, struct eh_frame_entry *entry);

/* Whether the code of an entry begins at `pc`, by the table alone. */
bool eh_frame_begins(const struct cfi_object *object, uintptr_t pc);
