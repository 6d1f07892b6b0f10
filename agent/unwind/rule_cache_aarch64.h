/*
 * A rule's 18 bits on aarch64. Plain rules, nearly all: CFA = base + offset, a multiple of 16; the
 * frame record {caller's frame pointer, return address}, or the return address alone if the frame
 * pointer is unchanged, at base + 8 * slot, for compilers put it at the bottom of a frame:
 *   [4:0] slot, not 31    [5] base is the frame pointer    [6] record, not address
 *   [17:7] offset / 16
 * Others: see rule_cache.h. Included by that alone.
 */
#pragma once

enum {
	RULE_CACHE_BITS = 18,
	RULE_CACHE_SLOT_MASK = 31,
	RULE_CACHE_NOT_PLAIN = 31,
	RULE_CACHE_FLAG = 1 << 5,
	RULE_CACHE_VALUE_SHIFT = 6,
	RULE_CACHE_RECORD = 1 << 6,
	RULE_CACHE_OFFSET_SHIFT = 7,
	/* An instruction has four bytes, and a row begins with one: the last two bits of a pc tell
	 * nothing. */
	RULE_CACHE_PC_SHIFT = 2,
	RULE_CACHE_KEY_BITS = ARCH_ADDRESS_BITS - RULE_CACHE_PC_SHIFT,
	/* Of a side word's numbers. */
	RULE_CACHE_CFA_BITS = 22,
	RULE_CACHE_FP_BITS = 18,
	RULE_CACHE_RA_BITS = 18,
	RULE_CACHE_ADDEND_BITS = 0,
};

/* Of a plain rule: CFA - base. */
static inline uintptr_t rule_cache_offset(uint32_t rule)
{
	return rule >> RULE_CACHE_OFFSET_SHIFT << 4;
}

static inline bool rule_cache_saves_fp(uint32_t rule)
{
	return rule & RULE_CACHE_RECORD;
}

/* The lowest word that a plain rule reads, the frame pointer's if that is saved; and the return
 * address's. */
static inline uintptr_t rule_cache_slot(uint32_t rule, uintptr_t cfa)
{
	return cfa - rule_cache_offset(rule) + ((rule & RULE_CACHE_SLOT_MASK) << 3);
}

static inline uintptr_t rule_cache_ra(uint32_t rule, uintptr_t cfa)
{
	return rule_cache_slot(rule, cfa) + (rule_cache_saves_fp(rule) ? 8 : 0);
}

/* 0: not plain. */
static inline uint32_t rule_cache_pack_plain(const struct cfi_step *step)
{
	bool record = step->fp == CFI_FP_AT_CFA && step->ra_offset == step->fp_offset + 8;
	int32_t slot = step->cfa_offset + (record ? step->fp_offset : step->ra_offset);
	if (step->dereferenced || step->cfa_addend || step->ra_in_register ||
		(!record && step->fp != CFI_FP_SAME) || step->ra_offset > -8 ||
		step->cfa_offset <= 0 || step->cfa_offset & 15 ||
		step->cfa_offset >> 4 >= 1 << 11 || slot & 7 || slot < 0 ||
		slot / 8 >= RULE_CACHE_NOT_PLAIN)
		return 0;
	return (uint32_t)slot / 8 | (step->base_is_fp ? RULE_CACHE_FLAG : 0) |
	       (record ? RULE_CACHE_RECORD : 0) |
	       (uint32_t)(step->cfa_offset / 16) << RULE_CACHE_OFFSET_SHIFT;
}
