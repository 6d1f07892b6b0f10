/*
 * Addresses are resolved when the record arrives, because a library may be gone by the time
 * somebody asks. All frames are return addresses: the code in question is the call before, hence
 * the `- 1`.
 */
#include "server/sample_feed.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ingest/ring_consumer.h"
#include "model/estimate.h"
#include "model/heap_model.h"
#include "model/stack_table.h"
#include "server/module_map.h"
#include "server/options.h"

struct sample_feed {
	struct stack_table *stacks; /* owns */
	struct heap_model *heap;    /* owns */
	struct module_map *modules; /* borrows */
	bool (*refresh)(uint32_t epoch, void *data);
	void *data;
	bool frozen;
	uint32_t max_epoch; /* of all records so far: mappings read from now on are at least that
			       new */
	struct sample_feed_stats stats;
};

int sample_feed_new(struct sample_feed **out, const struct options_limits *limits,
	struct module_map *modules, bool (*refresh)(uint32_t epoch, void *data), void *data)
{
	struct sample_feed *feed = alloc_zeroed(1, sizeof *feed);
	/* A death waits for its birth for two rounds at most; as many as there can be births. */
	struct heap_limits heap_limits = {
		.max_live = limits->max_live, .max_deaths = limits->max_live};
	int r = stack_table_new(&feed->stacks, limits->max_stacks, limits->max_stack_bytes);
	if (r == 0)
		r = heap_model_new(&feed->heap, &heap_limits);
	if (r < 0) {
		sample_feed_free(feed);
		return r;
	}
	feed->modules = modules;
	feed->refresh = refresh;
	feed->data = data;
	*out = feed;
	return 0;
}

struct sample_feed *sample_feed_free(struct sample_feed *feed)
{
	if (feed == NULL)
		return NULL;
	heap_model_free(feed->heap);
	stack_table_free(feed->stacks);
	free(feed);
	return NULL;
}

static void resolve(struct sample_feed *feed, uint64_t return_address, uint32_t epoch,
	struct stack_frame *frame)
{
	*frame = (struct stack_frame){.pc = return_address};
	enum module_map_result r = module_map_resolve(
		feed->modules, return_address - 1, epoch, &frame->module, &frame->offset);
	if (r != MODULE_MAP_FOUND && feed->refresh(feed->max_epoch, feed->data))
		r = module_map_resolve(
			feed->modules, return_address - 1, epoch, &frame->module, &frame->offset);
	feed->stats.frames++;
	feed->stats.unmapped_frames += r == MODULE_MAP_UNKNOWN;
}

static void take_note(struct sample_feed *feed, const struct wire_birth *birth)
{
	feed->stats.births++;
	feed->stats.by_stop[birth->stop < WIRE_STOP_KINDS ? birth->stop : WIRE_STOP_UNSUPPORTED]++;
	feed->stats.guessed += birth->guessed > 0;
	if (birth->module_epoch > feed->max_epoch)
		feed->max_epoch = birth->module_epoch;
}

static void feed_birth(const struct wire_birth *birth, void *data)
{
	struct sample_feed *feed = data;
	take_note(feed, birth);
	if (feed->frozen) {
		feed->stats.folded_samples++;
		feed->stats.folded_bytes +=
			(double)birth->size_bytes /
			estimate_probability(birth->size_bytes, birth->interval_bytes);
		return;
	}
	struct stack_frame frames[WIRE_MAX_FRAMES];
	for (unsigned i = 0; i < birth->frame_count; i++)
		resolve(feed, birth->frames[i], birth->module_epoch, &frames[i]);
	struct stack_view stack = {.frames = frames,
		.frame_count = birth->frame_count,
		.stop = birth->stop,
		.guessed = birth->guessed};
	struct heap_birth entry = {
		.id = birth->id,
		.size_bytes = birth->size_bytes,
		.interval_bytes = birth->interval_bytes,
		.time_ns = birth->time_ns,
		.address = birth->address,
		.tid = birth->tid,
		.stack = stack_table_intern(feed->stacks, &stack),
	};
	heap_model_birth(feed->heap, &entry);
}

static void feed_death(const struct wire_death *death, void *data)
{
	struct sample_feed *feed = data;
	heap_model_death(feed->heap, death->id, death->time_ns);
}

static void feed_end(const struct wire_end *end, void *data)
{
	(void)end;
	(void)data;
}

struct record_sink sample_feed_sink(struct sample_feed *feed)
{
	return (struct record_sink){.birth = feed_birth,
		.live = feed_birth,
		.death = feed_death,
		.end = feed_end,
		.data = feed};
}

void sample_feed_end_round(struct sample_feed *feed)
{
	heap_model_end_round(feed->heap);
}

void sample_feed_freeze(struct sample_feed *feed, bool frozen)
{
	feed->frozen = frozen;
}

struct heap_model *sample_feed_heap(const struct sample_feed *feed)
{
	return feed->heap;
}

struct stack_table *sample_feed_stacks(const struct sample_feed *feed)
{
	return feed->stacks;
}

void sample_feed_stats(const struct sample_feed *feed, struct sample_feed_stats *out)
{
	*out = feed->stats;
}

size_t sample_feed_bytes(const struct sample_feed *feed)
{
	return sizeof *feed + stack_table_bytes(feed->stacks) + heap_model_bytes(feed->heap);
}
