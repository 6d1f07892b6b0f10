/*
 * Call frame information: how the caller of the function at one pc is found. Reads .eh_frame_hdr
 * and .eh_frame of a loaded object where the loader mapped them, for one pc at a time, and builds
 * no tables.
 *
 * Pure: no state, no lock, no allocation, no system call; any thread, also in a signal handler. The
 * tables are hostile input: every read is checked against [start, end) of the object, work is
 * bounded, and what is malformed or unknown is CFI_UNSUPPORTED.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct cfi_object {
	uintptr_t start, end;	/* of the mapping that holds its CFI: nothing outside is read */
	uintptr_t frame_header; /* .eh_frame_hdr, 0: the object has none */
};

enum cfi_verdict {
	CFI_STEP,	 /* the step describes the caller's frame */
	CFI_END,	 /* the outermost frame: the return address is undefined */
	CFI_SIGNAL,	 /* the interrupted registers lie at sp + ARCH_SIGNAL_* */
	CFI_NO_INFO,	 /* no CFI covers this pc */
	CFI_UNSUPPORTED, /* it does, but it is malformed or beyond what a step can say */
};

enum cfi_fp {
	CFI_FP_SAME,   /* the caller's frame pointer is still in its register */
	CFI_FP_AT_CFA, /* saved at CFA + fp_offset */
	CFI_FP_AT_FP,  /* saved at the frame pointer + fp_offset */
	CFI_FP_LOST,   /* saved in a way that is not known */
};

/*
 * CFA = base + cfa_offset, or if dereferenced, the word at base + cfa_offset, plus cfa_addend. The
 * return address is at CFA + ra_offset, ARCH_RA_FROM_CFA where the architecture knows no other, or
 * still in its register; the caller's stack pointer is the CFA.
 */
struct cfi_step {
	int32_t cfa_offset;
	int32_t fp_offset;
	int32_t ra_offset;
	uint16_t cfa_addend;
	bool base_is_fp;    /* else the stack pointer */
	bool base_is_third; /* but this one: ARCH_DWARF_THIRD, of a frame that has not called anyone */
	bool dereferenced;
	bool ra_in_register; /* of a frame that has not called anyone */
	uint8_t fp;	     /* enum cfi_fp */
};

/* `pc` lies inside the instruction that is under way: for a return address, one byte before it. */
enum cfi_verdict cfi_find(const struct cfi_object *object, uintptr_t pc, struct cfi_step *step);

/* Whether a function, or what the compiler has moved out of one, begins at `pc`: then that is no return address,
 * but of a call that never returns and is the last instruction before. */
bool cfi_begins(const struct cfi_object *object, uintptr_t pc);
