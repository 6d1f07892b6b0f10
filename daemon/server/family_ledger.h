/*
 * What lives in several processes of one family because they have inherited it, counted once. A forked child's map begins
 * as a copy of its parent's; whose an entry is, its id tells: that of the nearest process of the line whose first
 * id is not above it. The process that gave the id counts the sample if it has it still, else whichever of the heirs is
 * looked at first. What a worker says of its line is its claim: it decides about its own inherited samples and about
 * no other's, except of processes under its own uid. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model/estimate.h"

struct family_ledger;
struct heap_birth;
struct session;

#define FAMILY_LEDGER_MAX (UINT32_C(1) << 21) /* samples to be recognized: 100 MiB */

int family_ledger_new(struct family_ledger **out);
struct family_ledger *family_ledger_free(struct family_ledger *ledger);

/* Whether an entry of the session's map was there when it was forked. */
bool family_ledger_is_inherited(const struct session *session, const struct heap_birth *entry);
/* The entries that come now are this session's. Ancestors come before their descendants, each session once. `has_heirs`:
 * some of these are still to come. */
void family_ledger_begin(
	struct family_ledger *ledger, const struct session *session, bool has_heirs);
/* For heap_model_sums_of. Once per entry. */
bool family_ledger_counts(const struct heap_birth *entry, void *ledger);
/* What that was, for an entry of the session under way. */
bool family_ledger_has_counted(const struct heap_birth *entry, struct family_ledger *ledger);

struct family_ledger_sums {
	struct estimate_sum shared; /* counted once, and found again in another process */
	uint32_t heirs;		    /* sessions with samples that were counted elsewhere */
	uint64_t unmatched;	    /* inherited, past the bound: counted in each process */
};
void family_ledger_sums(const struct family_ledger *ledger, struct family_ledger_sums *out);
