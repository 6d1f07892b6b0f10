/*
 * Buffers to capture and encode into, so that neither the host's stack nor TLS has to hold a stack
 * trace. Leased for one sample. A thread is given the same one again if it can be, for the memo of its
 * last stack lies there; whose memo it is does not matter otherwise. A buffer that is never needed
 * is never touched. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "heap_map.h"
#include "spprof/wire/record.h"
#include "stack_store.h"
#include "unwind/memo.h"

struct mixed_stack;

struct scratch {
	struct memo memo;
	struct heap_map_entry entry; /* of the sample in hand */
	uint32_t since_audit; /* samples captured here since one was audited; the holder's alone */
	uint8_t code[STACK_STORE_SCRATCH];
	union { /* last, for a record's frames have no bound of their own */
		struct wire_birth birth;
		uint8_t bytes[WIRE_RECORD_MAX];
	};
};

/* NULL: all are taken. *word is what scratch_pool_release wants. */
struct scratch *scratch_pool_lease(uint32_t tid, uint64_t *word);
void scratch_pool_release(struct scratch *scratch, uint64_t word);
/* Room for stacks of an interpreter as well; once, before one is published. False: the kernel refuses. */
bool scratch_pool_make_mixed(void);
/* That of a buffer, after scratch_pool_make_mixed(). */
struct mixed_stack *scratch_pool_mixed(const struct scratch *scratch);
/* Takes back what dead threads hold; rate-limited. */
void scratch_pool_reap(uint64_t now_ns);
