/*
 * A rule's 17 bits on x86_64. Plain rules, nearly all: CFA = base + offset, a multiple of 8; the
 * return address at CFA - 8, the caller's frame pointer unchanged (slot 0) or saved at
 * CFA - 8 * (slot + 1):
 *   [3:0] slot, not 15    [4] base is the frame pointer    [16:5] offset / 8
 * Others: see rule_cache.h. Included by that alone.
 */
#pragma once

enum {
	RULE_CACHE_BITS = 17,
	RULE_CACHE_SLOT_MASK = 15,
	RULE_CACHE_NOT_PLAIN = 15,
	RULE_CACHE_FLAG = 1 << 4,
	RULE_CACHE_VALUE_SHIFT = 5,
	/* Code begins anywhere. */
	RULE_CACHE_PC_SHIFT = 0,
	RULE_CACHE_KEY_BITS = ARCH_ADDRESS_BITS,
	/* Of a side word's numbers; realigned frames are loaded and may have an addend. */
	RULE_CACHE_CFA_BITS = 26,
	RULE_CACHE_FP_BITS = 18,
	RULE_CACHE_RA_BITS = 0,
	RULE_CACHE_ADDEND_BITS = 12,
};

/* Of a plain rule: CFA - base, and CFA - where the frame pointer is saved (or, unsaved, the return
 * address). */
static inline uintptr_t rule_cache_offset(uint32_t rule)
{
	return rule >> RULE_CACHE_VALUE_SHIFT << 3;
}

static inline uintptr_t rule_cache_slot_distance(uint32_t rule)
{
	return ((rule & RULE_CACHE_SLOT_MASK) + 1) << 3;
}

static inline bool rule_cache_saves_fp(uint32_t rule)
{
	return rule & RULE_CACHE_SLOT_MASK;
}

/* The lowest word that a plain rule reads, the frame pointer's if that is saved; and the return
 * address's. */
static inline uintptr_t rule_cache_slot(uint32_t rule, uintptr_t cfa)
{
	return cfa - rule_cache_slot_distance(rule);
}

static inline uintptr_t rule_cache_ra(uint32_t rule, uintptr_t cfa)
{
	(void)rule;
	return cfa + (uintptr_t)ARCH_RA_FROM_CFA;
}

/* 0: not plain. */
static inline uint32_t rule_cache_pack_plain(const struct cfi_step *step)
{
	uint32_t slot = 0;
	if (step->dereferenced || step->base_is_third || step->cfa_addend ||
		step->cfa_offset <= 0 || step->cfa_offset & 7 || step->cfa_offset >> 3 >= 1 << 12)
		return 0;
	if (step->fp == CFI_FP_AT_CFA && !(step->fp_offset & 7) && step->fp_offset <= -16 &&
		step->fp_offset >= -8 * RULE_CACHE_NOT_PLAIN)
		slot = (uint32_t)(-step->fp_offset / 8 - 1);
	else if (step->fp != CFI_FP_SAME)
		return 0;
	return slot | (step->base_is_fp ? RULE_CACHE_FLAG : 0) |
	       (uint32_t)(step->cfa_offset / 8) << RULE_CACHE_VALUE_SHIFT;
}
