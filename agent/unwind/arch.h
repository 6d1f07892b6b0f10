/*
 * Everything about the processor that the unwinder needs to know, and nothing else in this folder
 * depends on it. A new architecture fills in the numbers, and decides in walk.c what a frame
 * pointer is good for. Included by the unwinder and its tests only.
 */
#pragma once
#include <stdint.h>

#if defined(__x86_64__) && defined(__LP64__)

#define ARCH_HAS_UNWINDER 1

enum {
	/* Register numbers: System V ABI, AMD64 supplement, figure 3.36. */
	ARCH_DWARF_FP = 6,
	ARCH_DWARF_SP = 7,
	ARCH_DWARF_RA = 16,
	/* `call` pushes it, so it can be nowhere else. */
	ARCH_RA_FROM_CFA = -8,
	/* Bytes below the stack pointer that a signal handler leaves alone. */
	ARCH_RED_ZONE = 128,
	/* Of a user's addresses; 5-level paging has more, for those who ask by address. */
	ARCH_ADDRESS_BITS = 47,
	/* A handler's CFA is the address of the ucontext; the interrupted registers lie at: */
	ARCH_SIGNAL_FP = 120,
	ARCH_SIGNAL_SP = 160,
	ARCH_SIGNAL_PC = 168,
	/* Where a frame pointer is kept, the caller's stack pointer is right above the record to
	 * which it points: else that is not known without CFI, and nothing can be guessed. */
	ARCH_RECORD_ENDS_FRAME = 1,
};

#else

#define ARCH_HAS_UNWINDER 0

enum { /* No register has these numbers: whatever CFI says, it is unsupported. */
	ARCH_DWARF_FP = 0x8d,
	ARCH_DWARF_SP = 0x8e,
	ARCH_DWARF_RA = 0x8f,
	ARCH_RA_FROM_CFA = -8,
	ARCH_RED_ZONE = 0,
	ARCH_ADDRESS_BITS = 47,
	ARCH_SIGNAL_FP = 0,
	ARCH_SIGNAL_SP = 0,
	ARCH_SIGNAL_PC = 0,
	ARCH_RECORD_ENDS_FRAME = 0,
};

#endif

/* The smallest page any kernel of this architecture has; a larger one is merely probed in parts. */
#define ARCH_PAGE_BYTES ((uintptr_t)4096)
