/* Answers to offsets on their way into one reply: cut, demangled, in the form that protobuf-c
 * packs. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "spprof/v1/symbolizer.pb-c.h"
#include "symbolizer/dwarf_lines.h"

struct answer_set {
	struct arena arena; /* all that the list points to */
	Spprof__V1__SymbolizerAnswer *list[SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS];
	size_t count;
	size_t bytes; /* packed */
};

void answer_set_deinit(struct answer_set *set);
void answer_set_clear(struct answer_set *set);
void answer_set_add(
	struct answer_set *set, uint64_t offset, const struct dwarf_line *lines, size_t count);
/* Whether the set should be sent before anything is added: the next answer might not fit into one
 * reply. */
bool answer_set_is_full(const struct answer_set *set);
