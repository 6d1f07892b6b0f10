/*
 * Numbers for code objects, and their definitions in the segment (spprof/wire/definitions.h). A code object that is
 * looked up must be kept alive by its caller's frame. Any thread under its re-entry guard, on the sampled path:
 * wait-free, no system call, a definition included.
 *
 * Two tables of words {hash, number}. `seen` answers almost always: its hash is over where a code object and its parts
 * lie and a little of what they hold, since addresses are used again all the time. What it does not know is looked up in
 * `defined` by a hash over the contents, so code that is executed anew keeps its number. Both are private memory, so a
 * forked child has them; codes_inherit() brings what they mean into its segment.
 *
 *   field      writer                       reader                 order
 *   seen, defined   whoever learns a code   every lookup           [CODE-2] release/acquire: the definition and its place
 *   places     whoever defines (the index)  daemon; settling child [CODE-1] release/acquire: the definition
 *   numbers, used_bytes   whoever defines   the same               relaxed: claimed by one addition each
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct layout;
struct segment;

/* Once, before the first lookup; false: no memory. */
bool codes_init(void);
/* Of the last lookup for the same stack. All of a stack's code is alive at once, so what lies at the same address there
 * is the same. Zeroed: there was none. */
struct codes_last {
	const char *code, *file;
	uint64_t file_hash;
	uint32_t number;
};

/* 0: there is no room to define it, or the process has forked meanwhile. */
uint32_t codes_number(const struct layout *layout, struct segment *segment, struct codes_last *last,
	const char *code);
/* In a forked child, before its segment is shown to anybody: what its parent's segment defines. Without that, forgets
 * all numbers. */
void codes_inherit(struct segment *child, const struct segment *parent);
