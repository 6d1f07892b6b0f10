/* See arch.h. */
#pragma once
#include <stdint.h>

enum {
	/* Register numbers: DWARF for the Arm 64-bit Architecture, section 4.1. */
	ARCH_DWARF_FP = 29,
	ARCH_DWARF_RA = 30,
	ARCH_DWARF_SP = 31,
	ARCH_DWARF_THIRD = 0x8d, /* no register has this number */
	/* `bl` leaves the return address in a register; a function that calls others saves it where
	 * it likes. */
	ARCH_HAS_LINK = 1,
	ARCH_RA_FROM_CFA = 0,
	ARCH_RED_ZONE = 0,
	/* Of a user's addresses; 52-bit ones are for those who ask by address. */
	ARCH_ADDRESS_BITS = 48,
	/* DW_CFA_AARCH64_negate_ra_state: from here on the return address is signed, or not any
	 * more. arch_strip() does not care. */
	ARCH_CFA_IGNORED = 0x2d,
	/* A handler's CFA is the address of siginfo, the ucontext follows; the interrupted registers
	 * lie at: */
	ARCH_SIGNAL_FP = 544,
	ARCH_SIGNAL_THIRD = 552, /* the link register */
	ARCH_SIGNAL_SP = 560,
	ARCH_SIGNAL_PC = 568,
	/* Where a frame pointer is kept, the caller's stack pointer is right above the record to
	 * which it points: else that is not known without CFI, and nothing can be guessed. */
	ARCH_RECORD_ENDS_FRAME = 0,
};

/* What handlers return to is the kernel's (vdso), and has no CFI: mov x8, #139 (rt_sigreturn);
 * svc #0. */
#define ARCH_TRAMPOLINE_WORDS 2
#define ARCH_TRAMPOLINE                                                                            \
	{                                                                                          \
		0xd2801168, 0xd4000001                                                             \
	}

/* The frame record lies anywhere in a frame, so the frame pointer does not tell; gcc does. */
#ifdef __clang__
#error "clang takes the frame pointer for the CFA on aarch64: build the agent with gcc"
#endif
#define ARCH_CALLERS_SP() ((uintptr_t)__builtin_dwarf_cfa())

/* Takes the signature off a return address (pointer authentication), by the instruction that knows
 * which bits it has; one from before those does nothing (xpaclri in the space of hints). */
static inline uintptr_t arch_strip(uintptr_t return_address)
{
	register uintptr_t x30 __asm__("x30") = return_address;
	__asm__("hint #7" : "+r"(x30));
	return x30;
}
