/*
 * What signal handlers return to, where CFI does not describe it: aarch64's kernel keeps it in the
 * vdso, without CFI since that led unwinders astray that believe it. It is known by its
 * instructions, which are looked for once; a walk compares addresses and reads no code.
 *
 * Does nothing on architectures whose CFI tells (ARCH_TRAMPOLINE_WORDS is 0).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "unwind/arch.h"

enum { TRAMPOLINE_BYTES = 4 * ARCH_TRAMPOLINE_WORDS };

/* Once, at load: looks for it in the ELF image at `image`, all of which is mapped; 0: there is
 * none. */
void trampoline_init(uintptr_t image);

/* Its address; 0: not found. Any thread, also in a signal handler. */
uintptr_t trampoline_address(void);

/* Whether a frame whose rule is looked up at `lookup` is the trampoline's: one byte before it if a
 * handler will return there, in it if it was interrupted itself. */
static inline bool trampoline_covers(uintptr_t lookup)
{
	if (!ARCH_TRAMPOLINE_WORDS)
		return false;
	uintptr_t address = trampoline_address();
	return address && lookup - (address - 1) <= TRAMPOLINE_BYTES;
}
