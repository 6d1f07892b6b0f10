/*
 * Fuzz target: any bytes as an object's .eh_frame_hdr and .eh_frame. Two little-endian words say
 * where in the object the header lies and, relative to the object, for which pc it is asked; the
 * object follows. It is tried where the input is, for the sanitizers, and once more at a fixed
 * address right in front of a page that nobody may touch. A rule that comes out must survive the
 * rule cache.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "unwind/cfi.h"
#include "unwind/rule_cache.h"

#define ROOM_START ((uintptr_t)0x200000000)
#define ROOM_BYTES ((size_t)1 << 21)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_packing(const struct cfi_step *step)
{
	uint32_t rule = rule_cache_pack(CFI_STEP, step);
	struct cfi_step out;
	if ((rule & RULE_CACHE_SLOT_MASK) != RULE_CACHE_NOT_PLAIN) {
		if (rule_cache_offset(rule) != (uintptr_t)step->cfa_offset ||
			!(rule & RULE_CACHE_FLAG) == step->base_is_fp)
			abort();
	} else if (rule_cache_unpack(rule, &out) == CFI_STEP) {
		if (out.cfa_offset != step->cfa_offset || out.fp_offset != step->fp_offset ||
			out.cfa_addend != step->cfa_addend || out.fp != step->fp ||
			out.base_is_fp != step->base_is_fp ||
			out.base_is_third != step->base_is_third ||
			out.dereferenced != step->dereferenced)
			abort();
	}
}

static void find(const uint8_t *bytes, size_t size, uint32_t header, uint32_t pc)
{
	struct cfi_step step;
	struct cfi_object object = {
		(uintptr_t)bytes, (uintptr_t)bytes + size, (uintptr_t)bytes + header};
	enum cfi_verdict verdict = cfi_find(&object, (uintptr_t)bytes + pc, &step);
	if (verdict > CFI_UNSUPPORTED)
		abort();
	cfi_begins(&object, (uintptr_t)bytes + pc);
	if (verdict == CFI_STEP)
		check_packing(&step);
}

static uint8_t *room_end(void)
{
	static uint8_t *end;
	if (end)
		return end;
	uint8_t *room = mmap((void *)ROOM_START, ROOM_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED || mprotect(room + ROOM_BYTES - 4096, 4096, PROT_NONE))
		abort();
	end = room + ROOM_BYTES - 4096;
	return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t words[2];
	if (size < sizeof(words) || size > ROOM_BYTES / 2)
		return 0;
	memcpy(words, data, sizeof(words));
	data += sizeof(words);
	size -= sizeof(words);
	find(data, size, words[0], words[1]);
	uint8_t *copy = room_end() - size;
	memcpy(copy, data, size);
	find(copy, size, words[0], words[1]);
	return 0;
}
