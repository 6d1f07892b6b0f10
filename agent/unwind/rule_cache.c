/*
 * Invariants: a word is 0 or complete; a side word never changes once it is not 0, so an index
 * stays valid for good, across flushes, too (a side word is pure geometry and belongs to no
 * library).
 *
 * The side table is a hash table of the rules themselves: equal rules of any number of call sites
 * share a word, adding one is a single compare-and-swap, and losing that race to an equal rule is
 * success.
 */
#include "unwind/rule_cache.h"

enum {
	SIDE_WORDS_LOG2 = 12,
	SIDE_PROBES = 16, /* then the table counts as full, and the rule as unsupported */
};

_Static_assert(1 << SIDE_WORDS_LOG2 == RULE_CACHE_VALUE_MAX + 1, "every index fits a rule");
_Static_assert((int)CFI_UNSUPPORTED <= (int)RULE_CACHE_VALUE_MAX, "so does every verdict");
_Static_assert(RULE_CACHE_BITS + RULE_CACHE_KEY_BITS <= 64, "a pc and its rule are one word");

_Atomic uint64_t rule_cache_words[1 << RULE_CACHE_WORDS_LOG2];
static _Atomic uint64_t side[1 << SIDE_WORDS_LOG2];
static _Atomic uint32_t epoch;

/*
 * A side word. After the flags the numbers, as wide as the architecture needs them; offsets are
 * signed and in units of 8. A number of no bits is always 0:
 *   [0] 1    [1] base is the frame pointer    [2] dereferenced    [4:3] enum cfi_fp
 *   [5] return address in its register, or base is the third one: no architecture has both
 *   CFA's offset, frame pointer's offset, return address's offset, addend
 */
enum {
	CFA_SHIFT = 6,
	FP_SHIFT = CFA_SHIFT + RULE_CACHE_CFA_BITS,
	RA_SHIFT = FP_SHIFT + RULE_CACHE_FP_BITS,
	ADDEND_SHIFT = RA_SHIFT + RULE_CACHE_RA_BITS,
};

_Static_assert(ADDEND_SHIFT + RULE_CACHE_ADDEND_BITS <= 64, "a side word holds a step");

static bool fits(int32_t offset, int bits)
{
	return !(offset & 7) && offset / 8 >= -(1 << (bits - 1)) && offset / 8 < 1 << (bits - 1);
}

static uint64_t field(int32_t offset, int bits, int shift)
{
	return bits ? ((uint64_t)(offset / 8) & (((uint64_t)1 << bits) - 1)) << shift : 0;
}

static int32_t signed_field(uint64_t word, int bits, int shift)
{
	return bits ? (int32_t)((int64_t)(word << (64 - bits - shift)) >> (64 - bits)) * 8 : 0;
}

/* 0: does not fit. */
static uint64_t side_word(const struct cfi_step *step)
{
	int32_t ra_offset = step->ra_offset - ARCH_RA_FROM_CFA;
	if (!fits(step->cfa_offset, RULE_CACHE_CFA_BITS) ||
		!fits(step->fp_offset, RULE_CACHE_FP_BITS) ||
		(RULE_CACHE_RA_BITS != 0 && !fits(ra_offset, RULE_CACHE_RA_BITS)) ||
		step->cfa_addend >> RULE_CACHE_ADDEND_BITS)
		return 0;
	uint64_t addend = RULE_CACHE_ADDEND_BITS ? (uint64_t)step->cfa_addend << ADDEND_SHIFT : 0;
	return 1 | (uint64_t)step->base_is_fp << 1 | (uint64_t)step->dereferenced << 2 |
	       (uint64_t)step->fp << 3 |
	       (uint64_t)(step->ra_in_register || step->base_is_third) << 5 |
	       field(step->cfa_offset, RULE_CACHE_CFA_BITS, CFA_SHIFT) |
	       field(step->fp_offset, RULE_CACHE_FP_BITS, FP_SHIFT) |
	       field(ra_offset, RULE_CACHE_RA_BITS, RA_SHIFT) | addend;
}

static uint32_t side_add(const struct cfi_step *step)
{
	uint64_t word = side_word(step);
	uint32_t index = (uint32_t)(word * 0x9e3779b97f4a7c15u >> (64 - SIDE_WORDS_LOG2));
	for (int probe = 0; word && probe < SIDE_PROBES; probe++) {
		/* Relaxed: the word is all there is; nothing else is published by it. */
		uint64_t seen = 0;
		if (atomic_compare_exchange_strong_explicit(&side[index], &seen, word,
			    memory_order_relaxed, memory_order_relaxed) ||
			seen == word)
			return RULE_CACHE_NOT_PLAIN | RULE_CACHE_FLAG |
			       index << RULE_CACHE_VALUE_SHIFT;
		index = (index + 1) & RULE_CACHE_VALUE_MAX;
	}
	return rule_cache_of(CFI_UNSUPPORTED);
}

static enum cfi_verdict side_get(uint32_t index, struct cfi_step *step)
{
	/* Relaxed: see the header; 0 is a word that another thread has added but this one cannot
	 * see. */
	uint64_t word = atomic_load_explicit(&side[index], memory_order_relaxed);
	if (!word)
		return CFI_UNSUPPORTED;
	step->base_is_fp = word >> 1 & 1;
	step->dereferenced = word >> 2 & 1;
	step->fp = word >> 3 & 3;
	step->ra_in_register = ARCH_HAS_LINK && word >> 5 & 1;
	step->base_is_third = !ARCH_HAS_LINK && word >> 5 & 1;
	step->cfa_offset = signed_field(word, RULE_CACHE_CFA_BITS, CFA_SHIFT);
	step->fp_offset = signed_field(word, RULE_CACHE_FP_BITS, FP_SHIFT);
	step->ra_offset = signed_field(word, RULE_CACHE_RA_BITS, RA_SHIFT) + ARCH_RA_FROM_CFA;
	step->cfa_addend =
		RULE_CACHE_ADDEND_BITS
			? (uint16_t)(word >> ADDEND_SHIFT & ((1 << RULE_CACHE_ADDEND_BITS) - 1))
			: 0;
	return CFI_STEP;
}

uint32_t rule_cache_pack(enum cfi_verdict verdict, const struct cfi_step *step)
{
	if (verdict != CFI_STEP)
		return rule_cache_of(verdict);
	uint32_t plain = rule_cache_pack_plain(step);
	return plain ? plain : side_add(step);
}

enum cfi_verdict rule_cache_unpack(uint32_t rule, struct cfi_step *step)
{
	uint32_t value = rule >> RULE_CACHE_VALUE_SHIFT;
	return rule & RULE_CACHE_FLAG ? side_get(value, step) : (enum cfi_verdict)value;
}

/* No two epochs have the same salt: the factor is odd, and an epoch has fewer bits than a salt. */
static uint64_t salt_of(uint32_t of_epoch)
{
	return of_epoch * 0x9e3779b97f4a7c15u & (((uint64_t)1 << RULE_CACHE_KEY_BITS) - 1);
}

uint64_t rule_cache_salt(void)
{
	/* [EPOCH-1] acquire: whoever sees an epoch sees the loader as it was when that began; pairs
	 * with EPOCH-1 in rule_cache_flush(). */
	return salt_of(atomic_load_explicit(&epoch, memory_order_acquire));
}

uint32_t rule_cache_store(uint64_t salt, uintptr_t pc, uint32_t rule)
{
	uint64_t key = rule_cache_key(salt, pc);
	uint32_t index = rule_cache_index(key);
	/* Relaxed: see the table in the header. A word moved while it is flushed has an old salt.
	 */
	uint64_t displaced = atomic_load_explicit(&rule_cache_words[index], memory_order_relaxed);
	if (displaced && displaced >> RULE_CACHE_BITS != key)
		atomic_store_explicit(
			&rule_cache_words[index ^ 1], displaced, memory_order_relaxed);
	atomic_store_explicit(
		&rule_cache_words[index], key << RULE_CACHE_BITS | rule, memory_order_relaxed);
	return rule;
}

void rule_cache_flush(void)
{
	/* [EPOCH-1] release: dlclose's changes before the epoch; pairs with EPOCH-1 in
	 * rule_cache_salt(). */
	atomic_fetch_add_explicit(&epoch, 1, memory_order_release);
	/* The salt alone makes every word stale. Erasing them removes what it would leave to
	 * coincidence; untouched pages stay untouched. Relaxed: nothing is ordered by it. */
	for (uint32_t i = 0; i < 1 << RULE_CACHE_WORDS_LOG2; i++)
		if (atomic_load_explicit(&rule_cache_words[i], memory_order_relaxed))
			atomic_store_explicit(&rule_cache_words[i], 0, memory_order_relaxed);
}

uint32_t rule_cache_epoch(void)
{
	/* Relaxed: a number for a record; the walk itself takes the epoch by rule_cache_salt(). */
	return atomic_load_explicit(&epoch, memory_order_relaxed);
}
