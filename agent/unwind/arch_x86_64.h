/* See arch.h. */
#pragma once
#include <stdint.h>

enum {
	/* Register numbers: System V ABI, AMD64 supplement, figure 3.36. */
	ARCH_DWARF_FP = 6,
	ARCH_DWARF_SP = 7,
	ARCH_DWARF_RA = 16,
	/* r10: leads to a realigned frame until that has saved its frame pointer. */
	ARCH_DWARF_THIRD = 10,
	/* `call` pushes the return address, so it can be nowhere else. */
	ARCH_HAS_LINK = 0,
	ARCH_RA_FROM_CFA = -8,
	/* Bytes below the stack pointer that a signal handler leaves alone. */
	ARCH_RED_ZONE = 128,
	/* Of a user's addresses; 5-level paging has more, for those who ask by address. */
	ARCH_ADDRESS_BITS = 47,
	/* An instruction of CFI that this architecture adds and a walk need not follow; 0: none. */
	ARCH_CFA_IGNORED = 0,
	/* A handler's CFA is the address of the ucontext; the interrupted registers lie at: */
	ARCH_SIGNAL_FP = 120,
	ARCH_SIGNAL_SP = 160,
	ARCH_SIGNAL_PC = 168,
	ARCH_SIGNAL_THIRD = 56,
	/* Where a frame pointer is kept, the caller's stack pointer is right above the record to
	 * which it points: else that is not known without CFI, and nothing can be guessed. */
	ARCH_RECORD_ENDS_FRAME = 1,
};

/* What handlers return to is libc's, and its CFI says what it is. */
#define ARCH_TRAMPOLINE_WORDS 0
#define ARCH_TRAMPOLINE                                                                            \
	{                                                                                          \
		0                                                                                  \
	}

/* The stack pointer of a function's caller after its return, in a function with a frame pointer. */
#define ARCH_CALLERS_SP() ((uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t))

/* The address that a saved return address stands for. */
static inline uintptr_t arch_strip(uintptr_t return_address)
{
	return return_address;
}
