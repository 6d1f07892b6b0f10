#include "server/session_sums.h"

#include "model/heap_model.h"

void session_sums_update(struct session_sums *sums, const struct heap_model *heap, uint64_t now_ns,
	uint64_t max_age_ns)
{
	uint64_t changes = heap_model_changes(heap);
	bool fresh = now_ns - sums->at_ns < max_age_ns;
	if (sums->at_ns != 0 && (changes == sums->changes || fresh))
		return;
	heap_model_sums(heap, &sums->live, &sums->cumulative, 1);
	sums->at_ns = now_ns;
	sums->changes = changes;
}
