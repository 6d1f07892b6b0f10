/*
 * What went wrong with stacks, by the module in whose code it did: where walks stopped before the
 * outermost frame, and where an audit found something else. Grows with the modules of a session,
 * so it is bounded as they are. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/record.h"

struct capture_tally_item {
	uint64_t stops[WIRE_STOP_KINDS]; /* of samples, by why their walk ended there */
	uint64_t disagreed;		 /* audits */
};

struct capture_tally {
	struct capture_tally_item *items; /* owns; by module index */
	uint32_t count;
	struct capture_tally_item nowhere; /* code in no file */
};

void capture_tally_deinit(struct capture_tally *tally);
/* `module` may be STACK_MODULE_NONE. Valid until the next call. */
struct capture_tally_item *capture_tally_at(struct capture_tally *tally, uint32_t module);
size_t capture_tally_bytes(const struct capture_tally *tally);
