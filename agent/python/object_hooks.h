/*
 * What stands in an interpreter's tables of allocation functions once its objects are sampled. Two
 * sets of functions, since tables may be taken over twice (allocators.h):
 *
 *   direct    before pymalloc, which takes small blocks from arenas that it maps and larger ones from
 *             malloc. What is sampled of the small ones is taken from malloc as well, so free and
 *             a later realloc come to the hooks of malloc, and there is none here for free.
 *   covering  before whatever else: debug hooks, tracemalloc, mimalloc, an embedder's own. Counts
 *             everything, and hides what that draws from malloc meanwhile.
 *
 * Both leave the table's context alone, so that a table that is read while it is being replaced
 * is right in any mixture. The interpreter calls them on any of its threads, several at once where
 * it has no lock.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* PyMemAllocatorEx */
struct object_allocator {
	void *context;
	void *(*malloc)(void *context, size_t size);
	void *(*calloc)(void *context, size_t count, size_t size);
	void *(*realloc)(void *context, void *address, size_t size);
	void (*free)(void *context, void *address);
};

/* PyMemAllocatorDomain */
enum object_domain {
	OBJECT_DOMAIN_RAW, /* malloc's, whatever happens */
	OBJECT_DOMAIN_MEM,
	OBJECT_DOMAIN_OBJ,
	OBJECT_DOMAINS
};

/* Remembers what is in the two domains' tables, and makes those to put in their places. Once each;
 * until then no function of that set may be called. `raw_realloc`: PyMem_RawRealloc. */
void object_hooks_direct(const struct object_allocator *now,
	void *(*raw_realloc)(void *address, size_t size), struct object_allocator *out);
void object_hooks_covering(const struct object_allocator *now, struct object_allocator *out);

/* How often one of them has come to the countdown; runs over. */
uint32_t object_hooks_decisions(void);
