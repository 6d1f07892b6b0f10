#include "model/snapshot_bound.h"

#include <string.h>

#include "base/alloc.h"
#include "model/snapshot.h"

uint64_t snapshot_bound_text(const struct snapshot_location *location)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < location->line_count; i++)
		sum += strlen(location->lines[i].function) +
		       strlen(location->lines[i].function_system) +
		       strlen(location->lines[i].file) + 16;
	return sum;
}

/* The first site, in the order of snapshot_finish, at which the text goes over the bound. */
static uint32_t first_too_many(const struct snapshot *snapshot, uint64_t max_text)
{
	_cleanup_free_ uint64_t *text = alloc_zeroed(snapshot->location_count + 1, sizeof *text);
	uint64_t sum = 0;
	for (uint32_t i = 0; i < snapshot->location_count; i++)
		text[i] = snapshot_bound_text(&snapshot->locations[i]);
	uint32_t site = 0;
	for (; site < snapshot->site_count; site++) {
		for (uint32_t i = 0; i < snapshot->sites[site].depth; i++)
			sum += text[snapshot->sites[site].locations[i]];
		if (sum > max_text)
			break;
	}
	return site;
}

static struct snapshot_site fold(struct snapshot *snapshot, uint32_t kept)
{
	struct snapshot_site other = {0};
	for (uint32_t i = kept; i < snapshot->site_count; i++) {
		const struct snapshot_site *site = &snapshot->sites[i];
		snapshot->quality.folded_samples += site->cumulative.samples;
		snapshot->quality.folded_bytes += site->cumulative.bytes;
		estimate_merge(&other.live, &site->live);
		estimate_merge(&other.cumulative, &site->cumulative);
	}
	return other;
}

void snapshot_bound(struct snapshot *snapshot, uint64_t max_text)
{
	snapshot_finish(snapshot);
	uint32_t kept = first_too_many(snapshot, max_text);
	if (kept == snapshot->site_count)
		return;
	struct snapshot_site other = fold(snapshot, kept);
	for (uint32_t i = 0; i < snapshot->sample_count; i++)
		if (snapshot->samples[i].site > kept)
			snapshot->samples[i].site = kept;
	snapshot->sites[kept] = other;
	snapshot->site_count = kept + 1;
	snapshot_finish(snapshot);
}
