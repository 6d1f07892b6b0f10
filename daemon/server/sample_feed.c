/*
 * Addresses are resolved when the record arrives, because a library may be gone by the time
 * somebody asks. All frames are return addresses: the code in question is the call before, hence
 * the `- 1`.
 */
#include "server/sample_feed.h"

#include <stdlib.h>

#include "base/alloc.h"
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

static void take_note_of_stack(struct sample_feed *feed, const struct wire_birth *birth)
{
	feed->stats.by_stop[birth->stop < WIRE_STOP_KINDS ? birth->stop : WIRE_STOP_UNSUPPORTED]++;
	feed->stats.guessed += birth->guessed > 0;
	if (birth->module_epoch > feed->max_epoch)
		feed->max_epoch = birth->module_epoch;
}

static uint32_t intern_frames(struct sample_feed *feed, const struct wire_birth *birth)
{
	struct stack_frame frames[WIRE_MAX_FRAMES];
	for (unsigned i = 0; i < birth->frame_count; i++)
		resolve(feed, birth->frames[i], birth->module_epoch, &frames[i]);
	struct stack_view stack = {.frames = frames,
		.frame_count = birth->frame_count,
		.stop = birth->stop,
		.guessed = birth->guessed};
	return stack_table_intern(feed->stacks, &stack);
}

/* A stack of its own, so that it does not look like one that was folded. */
static uint32_t intern_not_kept(struct sample_feed *feed)
{
	const struct stack_frame frame = {.module = STACK_MODULE_NOT_KEPT};
	const struct stack_view stack = {.frames = &frame, .frame_count = 1};
	return stack_table_intern(feed->stacks, &stack);
}

static struct heap_birth make_entry(struct sample_feed *feed, const struct wire_birth *birth)
{
	bool not_kept =
		birth->record.type == WIRE_LIVE && (birth->record.flags & WIRE_STACK_NOT_KEPT);
	if (not_kept)
		feed->stats.not_kept++;
	else
		take_note_of_stack(feed, birth);
	feed->stats.births++;
	return (struct heap_birth){
		.id = birth->id,
		.size_bytes = birth->size_bytes,
		.interval_bytes = birth->interval_bytes,
		.time_ns = birth->time_ns,
		.address = birth->address,
		.tid = birth->tid & HEAP_TID_MAX,
		.stack = not_kept ? intern_not_kept(feed) : intern_frames(feed, birth),
	};
}

void sample_feed_birth(struct sample_feed *feed, const struct wire_birth *birth)
{
	if (feed->frozen) {
		take_note_of_stack(feed, birth);
		feed->stats.births++;
		feed->stats.folded_samples++;
		feed->stats.folded_bytes +=
			(double)birth->size_bytes /
			estimate_probability(birth->size_bytes, birth->interval_bytes);
		return;
	}
	struct heap_birth entry = make_entry(feed, birth);
	heap_model_birth(feed->heap, &entry);
}

static void add_live(struct sample_feed *feed, const struct wire_birth *live, uint32_t epoch)
{
	if (feed->frozen) {
		feed->stats.refused_lives++;
		return;
	}
	struct heap_birth entry = make_entry(feed, live);
	heap_model_live(feed->heap, &entry, epoch);
}

void sample_feed_live(struct sample_feed *feed, const struct wire_birth *live)
{
	if (!heap_model_name(feed->heap, live->id, live->epoch))
		add_live(feed, live, live->epoch);
}

void sample_feed_found(
	struct sample_feed *feed, const struct wire_birth *entry, bool announced, uint32_t epoch)
{
	if (announced) {
		if (!heap_model_name(feed->heap, entry->id, epoch))
			add_live(feed, entry, epoch);
		return;
	}
	bool fresh = !heap_model_knows(feed->heap, entry->id);
	if (fresh)
		add_live(feed, entry, epoch);
	heap_model_spare(feed->heap, entry->id, fresh);
}

void sample_feed_request(struct sample_feed *feed, uint32_t epoch)
{
	feed->stats.refused_lives = 0;
	heap_model_request(feed->heap, epoch);
}

void sample_feed_death(struct sample_feed *feed, const struct wire_death *death)
{
	if (death->epoch != 0)
		heap_model_take_back(feed->heap, death->id, death->epoch);
	else
		heap_model_death(feed->heap, death->id, death->time_ns);
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
