/* Sites point into the arrays behind them, so sorting moves the sites alone. */
#include "model/snapshot.h"
#include <stdlib.h>
#include "base/alloc.h"
#include "base/string_pool.h"

#define COMPARE(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_locations(const struct snapshot_site *a, const struct snapshot_site *b)
{
	for (uint32_t i = 0; i < a->depth && i < b->depth; i++)
		if (a->locations[i] != b->locations[i])
			return COMPARE(a->locations[i], b->locations[i]);
	return COMPARE(a->depth, b->depth);
}

static int compare_sites(const void *left, const void *right)
{
	const struct snapshot_site *a = left, *b = right;
	int order = COMPARE(b->live.bytes, a->live.bytes);
	if (!order)
		order = COMPARE(b->cumulative.bytes, a->cumulative.bytes);
	if (!order)
		order = compare_locations(a, b);
	if (!order)
		order = COMPARE(a->stop, b->stop);
	return order ? order : COMPARE(a->guessed, b->guessed);
}

struct snapshot *snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return NULL;
	free(snapshot->sites);
	free(snapshot->samples);
	free(snapshot->locations);
	free(snapshot->modules);
	free(snapshot->location_indices);
	free(snapshot->lines);
	string_pool_free(snapshot->strings);
	free(snapshot);
	return NULL;
}

/* After the sites were sorted: `number` is where each of them was. */
static void renumber_samples(struct snapshot *snapshot)
{
	uint32_t *places = alloc_zeroed(snapshot->site_count + 1, sizeof *places);
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		places[snapshot->sites[i].number] = i;
	for (uint32_t i = 0; i < snapshot->sample_count; i++)
		snapshot->samples[i].site = places[snapshot->samples[i].site];
	free(places);
}

void snapshot_finish(struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		snapshot->sites[i].number = i;
	if (snapshot->site_count)
		qsort(snapshot->sites, snapshot->site_count, sizeof(snapshot->sites[0]),
			compare_sites);
	renumber_samples(snapshot);
	snapshot->live = (struct estimate_sum){0};
	snapshot->cumulative = (struct estimate_sum){0};
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		estimate_merge(&snapshot->live, &snapshot->sites[i].live);
		estimate_merge(&snapshot->cumulative, &snapshot->sites[i].cumulative);
	}
}
