/*
 * Leases: words that one thread at a time holds for the length of one record, signed with its id
 * and a generation. A holder that was left by siglongjmp, cancelled or killed keeps its lease; such
 * a lease is never given away by guess (its frame may come back and write) but taken back once the
 * kernel says that the thread no longer exists. Any thread; not reentrant per word, which is the
 * point.
 *
 *   field  writer                 reader  order
 *   word   holder; reaper by CAS  any     [LEASE-1] acquire/release: one holder's writes before
 *                                         the next's
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* 0: taken by somebody else. Else the word that lease_release expects. */
static inline uint64_t lease_try(_Atomic uint64_t *word, uint32_t tid, uint32_t generation)
{
	uint64_t expected = 0;
	/* Never 0, whatever tid says: 0 means free. */
	uint64_t mine = (uint64_t)generation << 32 | tid | UINT64_C(1) << 63;

	/* relaxed: a hint that spares others' cache lines; the CAS decides. */
	if (atomic_load_explicit(word, memory_order_relaxed) != 0)
		return 0;
	/* [LEASE-1] acquire: pairs with the release in lease_release. */
	return atomic_compare_exchange_strong_explicit(
		       word, &expected, mine, memory_order_acquire, memory_order_relaxed)
		       ? mine
		       : 0;
}

/* By CAS: a lease that was reaped meanwhile belongs to somebody else. */
static inline void lease_release(_Atomic uint64_t *word, uint64_t mine)
{
	/* [LEASE-1] release: what the holder wrote comes before the next holder; pairs with
	 * lease_try. */
	atomic_compare_exchange_strong_explicit(
		word, &mine, 0, memory_order_release, memory_order_relaxed);
}

/* Takes back the leases of threads that are gone, at most once a second per `last_ns`: the only
 * system calls of a drop, and only while every lease is taken. */
void lease_reap(_Atomic uint64_t *first, unsigned count, unsigned stride_bytes,
	_Atomic uint64_t *last_ns, uint64_t now_ns);
