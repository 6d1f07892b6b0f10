/* The image is the kernel's own or, in a test, the program's: its headers are believed. */
#define _GNU_SOURCE
#include "unwind/trampoline.h"
#include <link.h>
#include <stdatomic.h>
#include <string.h>

static _Atomic uintptr_t found;

/* The first place in [start, start + size) that holds the instructions. */
static uintptr_t search(uintptr_t start, uintptr_t size)
{
	static const uint32_t code[] = ARCH_TRAMPOLINE;
	for (uintptr_t at = start; at + TRAMPOLINE_BYTES <= start + size; at += sizeof(code[0]))
		if (memcmp((const void *)at, code, TRAMPOLINE_BYTES) == 0)
			return at;
	return 0;
}

void trampoline_init(uintptr_t image)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)image;
	if (!ARCH_TRAMPOLINE_WORDS || !image)
		return;
	const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(image + header->e_phoff);
	uintptr_t base = image, address = 0;
	for (int i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_LOAD && !segment[i].p_offset)
			base = image - segment[i].p_vaddr;
	for (int i = 0; i < header->e_phnum && !address; i++)
		if (segment[i].p_type == PT_LOAD && segment[i].p_flags & PF_X)
			address = search(base + segment[i].p_vaddr, segment[i].p_filesz);
	/* Relaxed: the address is all there is. */
	atomic_store_explicit(&found, address, memory_order_relaxed);
}

uintptr_t trampoline_address(void)
{
	return atomic_load_explicit(&found, memory_order_relaxed); /* relaxed: see above */
}
