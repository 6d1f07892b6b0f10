/*
 * The thresholds are those by which people were told to distrust stacks: 5 % and 20 % cut short. An
 * audit that disagrees is worse than a stack that says itself where it ends, so a hundredth of that
 * is enough. But audits are few at first, and one that disagrees may be the one in a thousand: they
 * count as soon as the rate is above the threshold with 97.5 % certainty, by the lower end of
 * Wilson's score interval (E. B. Wilson, Probable inference, the law of succession, and statistical
 * inference, JASA 22, 1927, p. 209-212). That is too sure of itself where next to nothing was seen
 * (L. D. Brown, T. T. Cai, A. DasGupta, Interval estimation for a binomial proportion, Statistical
 * Science 16, 2001, p. 101-133), hence two least numbers.
 */
#include "config.h"
#include "server/capture_confidence.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "model/stack_table.h"
#include "server/capture_tally.h"
#include "server/module_map.h"
#include "server/process_info.h"
#include "server/sample_feed.h"
#include "server/session_audit.h"

#define MEDIUM_PERCENT	     5.0
#define LOW_PERCENT	     20.0
#define GUESSED_PERCENT	     20.0
#define DIFFERENT_SHARE	     0.001 /* more: medium */
#define MOST_DIFFERENT_SHARE 0.05  /* more: low */
#define LEAST_AUDITS	     10u
#define LEAST_DIFFERENT	     2u
#define SCORE		     1.959964 /* the normal distribution's 97.5 % */
#define NAME_BYTES	     192

static uint64_t trouble_of(const struct capture_tally_item *item)
{
	uint64_t sum = item->disagreed;
	for (unsigned stop = 0; stop < WIRE_STOP_KINDS; stop++)
		if (stop != WIRE_STOP_END)
			sum += item->stops[stop];
	return sum;
}

static void consider(struct capture_trouble *worst, unsigned *count, uint32_t module,
	const struct capture_tally_item *item)
{
	struct capture_trouble it = {module, trouble_of(item)};
	if (it.count == 0)
		return;
	for (unsigned i = 0; i < *count; i++) {
		if (it.count <= worst[i].count)
			continue;
		struct capture_trouble less = worst[i];
		worst[i] = it;
		it = less;
	}
	if (*count < CAPTURE_CONFIDENCE_MODULES)
		worst[(*count)++] = it;
}

unsigned capture_confidence_worst(const struct capture_tally *tally,
	struct capture_trouble worst[static CAPTURE_CONFIDENCE_MODULES])
{
	unsigned count = 0;
	for (uint32_t module = 0; module < tally->count; module++)
		consider(worst, &count, module, &tally->items[module]);
	consider(worst, &count, STACK_MODULE_NONE, &tally->nowhere);
	return count;
}

/* The one place and reason that most stacks are cut short for. */
struct cause {
	uint32_t module;
	unsigned stop;
	uint64_t count;
};

static void look_for_cause(
	struct cause *cause, uint32_t module, const struct capture_tally_item *item)
{
	for (unsigned stop = 0; stop < WIRE_STOP_KINDS; stop++)
		if (stop != WIRE_STOP_END && item->stops[stop] > cause->count)
			*cause = (struct cause){module, stop, item->stops[stop]};
}

static struct cause main_cause(const struct capture_tally *tally)
{
	struct cause cause = {.module = STACK_MODULE_NONE};
	for (uint32_t module = 0; module < tally->count; module++)
		look_for_cause(&cause, module, &tally->items[module]);
	look_for_cause(&cause, STACK_MODULE_NONE, &tally->nowhere);
	return cause;
}

static void name_module(
	const struct module_map *modules, uint32_t module, char name[static NAME_BYTES])
{
	const char *path = module < module_map_count(modules)
				   ? module_map_get(modules, module)->path
				   : "code in no file";
	size_t size = strlen(path);
	snprintf(name, NAME_BYTES, "%s", size < NAME_BYTES ? path : path + size - NAME_BYTES + 1);
	process_info_sanitize(name);
}

static const char *remedy(const struct cause *cause)
{
	switch (cause->stop) {
	case WIRE_STOP_NO_INFO:
		return cause->module == STACK_MODULE_NONE
			       ? "it is made at run time (JIT): have it keep frame pointers, e.g. "
				 "node --interpreted-frames-native-stack, "
				 "java -XX:+PreserveFramePointer, python3.12 -X perf"
			       : "it has no unwind tables for that code: build it with "
				 "-fasynchronous-unwind-tables, and do not strip .eh_frame";
	case WIRE_STOP_MAX:
		return "they are deeper than 512 frames: names of the outermost callers are "
		       "missing, the innermost are right";
	case WIRE_STOP_UNSUPPORTED:
		return "its unwind tables use rules that the agent does not follow, as "
		       "hand-written "
		       "assembly does: a build without assembly helps";
	default:
		return "the next frame lies outside of the stack: if it switches stacks by itself "
		       "(coroutines), name the innermost frames only (--depth)";
	}
}

static void advise_on_truncation(const struct capture_tally *tally,
	const struct module_map *modules, struct capture_confidence *out)
{
	char name[NAME_BYTES];
	struct cause cause = main_cause(tally);
	if (cause.count == 0)
		return;
	name_module(modules, cause.module, name);
	snprintf(out->advice, sizeof out->advice, "most stacks that are cut short end in %s; %s",
		name, remedy(&cause));
}

static void advise_on_disagreement(const struct capture_tally *tally,
	const struct module_map *modules, struct capture_confidence *out)
{
	char name[NAME_BYTES];
	uint32_t worst = STACK_MODULE_NONE;
	uint64_t most = tally->nowhere.disagreed;
	for (uint32_t module = 0; module < tally->count; module++)
		if (tally->items[module].disagreed > most) {
			worst = module;
			most = tally->items[module].disagreed;
		}
	name_module(modules, worst, name);
	snprintf(out->advice, sizeof out->advice,
		"libunwind finds other callers of code in %s: do not trust stacks that pass "
		"through "
		"it, and report it with its build ID",
		name);
}

static void weigh_audits(const struct session_audit_stats *audits, struct capture_confidence *out)
{
	const uint64_t *verdicts = audits->verdicts;
	uint64_t agreed = verdicts[SESSION_AUDIT_AGREED] + verdicts[SESSION_AUDIT_CUT];
	for (unsigned i = 0; i < SESSION_AUDIT_VERDICTS; i++)
		out->audited += verdicts[i];
	if (out->audited > 0)
		out->agreement_percent = 100.0 * (double)agreed / (double)out->audited;
}

static enum capture_level level_of_stacks(const struct capture_confidence *confidence)
{
	if (confidence->truncated_percent > LOW_PERCENT)
		return CAPTURE_LOW;
	return confidence->truncated_percent >= MEDIUM_PERCENT ||
			       confidence->guessed_percent > GUESSED_PERCENT
		       ? CAPTURE_MEDIUM
		       : CAPTURE_HIGH;
}

/* The least share of `total` that so many can stand for. */
static double least_share(double count, double total)
{
	double share = count / total, square = SCORE * SCORE;
	double spread = SCORE * sqrt(share * (1 - share) / total + square / (4 * total * total));
	return (share + square / (2 * total) - spread) / (1 + square / total);
}

/* Only frames that differ count against the agent here: where it stops, the stacks tell. */
static enum capture_level level_of_audits(
	const struct session_audit_stats *audits, const struct capture_confidence *confidence)
{
	uint64_t different = audits->verdicts[SESSION_AUDIT_DIFFERENT];
	if (confidence->audited < LEAST_AUDITS || different < LEAST_DIFFERENT)
		return CAPTURE_HIGH;
	double share = least_share((double)different, (double)confidence->audited);
	if (share > MOST_DIFFERENT_SHARE)
		return CAPTURE_LOW;
	return share > DIFFERENT_SHARE ? CAPTURE_MEDIUM : CAPTURE_HIGH;
}

void capture_confidence_judge(const struct sample_feed_stats *feed,
	const struct session_audit_stats *audits, const struct capture_tally *tally,
	const struct module_map *modules, struct capture_confidence *out)
{
	double seen = (double)(feed->births - feed->not_kept);
	*out = (struct capture_confidence){0};
	weigh_audits(audits, out);
	if (seen <= 0)
		return;
	out->truncated_percent = 100.0 * (1 - (double)feed->by_stop[WIRE_STOP_END] / seen);
	out->guessed_percent = 100.0 * (double)feed->guessed / seen;
	enum capture_level stacks = level_of_stacks(out), audit = level_of_audits(audits, out);
	out->level = stacks > audit ? stacks : audit;
	if (audit > stacks)
		advise_on_disagreement(tally, modules, out);
	else if (out->level != CAPTURE_HIGH)
		advise_on_truncation(tally, modules, out);
}
