/*
 * Thresholds: below 100 samples the 95 % interval of a total is wider than about +-20 %; from 5 %
 * on, stacks that are cut or guessed are no longer an exception (the same line as in capture
 * confidence).
 */
#include "export/text_notes.h"
#include <inttypes.h>
#include <math.h>
#include "base/buffer.h"
#include "export/describe.h"
#include "export/human.h"
#include "export/utf8.h"
#include "model/snapshot.h"

#define FEW_SAMPLES    100u
#define WANTED_SAMPLES 1000.0
#define MIN_INTERVAL   1024.0
#define NOTABLE_SHARE  0.05

struct writer {
	struct buffer *out; /* borrows */
	const struct snapshot *snapshot;
	const struct text_notes_options *options;
};

static void begin(const struct writer *w)
{
	buffer_puts(w->out, w->options->color ? "\033[33mnote:\033[0m " : "note: ");
}

static void put_count(const struct writer *w, uint64_t count, const char *one, const char *many)
{
	buffer_printf(w->out, "%" PRIu64 " %s", count, count == 1 ? one : many);
}

static void note_exit(const struct writer *w)
{
	if (!w->snapshot->quality.exited)
		return;
	begin(w);
	buffer_puts(w->out, w->snapshot->family.descendants > 0
				    ? "the process is gone, its descendants are not\n"
				    : "the process is gone, this is its last state\n");
}

static void note_window(const struct writer *w)
{
	if (!w->snapshot->window.set || w->snapshot->window.complete)
		return;
	begin(w);
	buffer_puts(w->out, "what was freed in this window is not known in full; it is from "
			    "`spprofctl mark` on\n");
}

static void note_unconfirmed(const struct writer *w)
{
	const struct snapshot_quality *quality = &w->snapshot->quality;
	if (!quality->unconfirmed)
		return;
	begin(w);
	buffer_puts(w->out, "unconfirmed");
	if (*quality->unconfirmed_reason) {
		buffer_puts(w->out, ": ");
		utf8_append_ascii(w->out, quality->unconfirmed_reason);
	}
	if (quality->exited)
		buffer_puts(w->out, "; it stays so, the process is gone\n");
	else if (quality->told_again)
		buffer_putc(w->out, '\n');
	else
		buffer_puts(w->out, "; it stays so until the program is started anew\n");
}

static void note_losses(const struct writer *w)
{
	const struct snapshot_quality *quality = &w->snapshot->quality;
	if (!quality->lost_samples && !quality->lost_deaths)
		return;
	begin(w);
	if (quality->lost_samples) {
		put_count(w, quality->lost_samples, "sample", "samples");
		buffer_puts(w->out, " standing for ");
		human_bytes(w->out, quality->lost_bytes);
		buffer_puts(w->out, quality->unconfirmed ? " are missing"
							 : " are missing from allocated numbers");
	}
	if (quality->lost_deaths) {
		buffer_puts(w->out, quality->lost_samples ? ", " : "");
		put_count(w, quality->lost_deaths, "freed block still counts as live",
			"freed blocks still count as live");
	}
	buffer_puts(w->out, "; a larger SPPROF_RATE loses less\n");
}

static void note_late_start(const struct writer *w)
{
	if (w->snapshot->quality.from_start)
		return;
	begin(w);
	buffer_puts(w->out, "spprofd came after the process's start");
	if (w->snapshot->quality.allocated_since_unix_ns) {
		buffer_puts(w->out, ", at ");
		human_time(w->out, w->snapshot->quality.allocated_since_unix_ns);
	}
	buffer_puts(w->out,
		": what was freed before is not in the allocated numbers; start spprofd first\n");
}

static void note_few_samples(const struct writer *w)
{
	const struct estimate_sum *sum =
		w->options->cumulative ? &w->snapshot->cumulative : &w->snapshot->live;
	if (sum->samples >= FEW_SAMPLES)
		return;
	begin(w);
	if (!sum->samples) {
		buffer_puts(w->out, "no sample: the heap is smaller than the sampling interval can "
				    "see; start it with a smaller SPPROF_RATE\n");
		return;
	}
	double wanted = w->snapshot->interval_bytes * (double)sum->samples / WANTED_SAMPLES;
	double interval = MIN_INTERVAL;
	while (interval * 2 <= wanted)
		interval *= 2;
	put_count(w, sum->samples, "sample only", "samples only");
	buffer_puts(w->out, ", so trust the intervals and not the order of the rows");
	if (interval < w->snapshot->interval_bytes)
		buffer_printf(w->out, "; for about 1000, start it with SPPROF_RATE=%.0fK",
			interval / 1024);
	buffer_putc(w->out, '\n');
}

static uint64_t stacks_of(const struct snapshot_quality *quality)
{
	return quality->stacks_whole + quality->stacks_truncated + quality->stacks_stopped;
}

static bool is_notable(uint64_t part, uint64_t whole)
{
	return part > 0 && (double)part >= NOTABLE_SHARE * (double)whole;
}

static void put_share(const struct writer *w, uint64_t part, uint64_t whole)
{
	double percent = whole ? 100 * (double)part / (double)whole : 100;
	buffer_printf(w->out, "%.0f%% of stacks", fmin(percent, 100));
}

static void note_stacks(const struct writer *w)
{
	const struct snapshot_quality *quality = &w->snapshot->quality;
	uint64_t all = stacks_of(quality);
	if (is_notable(quality->stacks_truncated, all)) {
		begin(w);
		put_share(w, quality->stacks_truncated, all);
		buffer_puts(w->out,
			" are deeper than the agent keeps: their outermost callers are missing, "
			"the rows below are right\n");
	}
	if (is_notable(quality->stacks_stopped, all)) {
		begin(w);
		put_share(w, quality->stacks_stopped, all);
		buffer_printf(w->out,
			" end early, in code without unwind information; `spprofctl stats %" PRId32
			"` counts them by reason\n",
			w->snapshot->pid);
	}
	if (is_notable(quality->stacks_guessed, all)) {
		begin(w);
		put_share(w, quality->stacks_guessed, all);
		buffer_printf(w->out,
			" have frames that were guessed; `spprofctl stats %" PRId32
			"` counts them\n",
			w->snapshot->pid);
	}
}

static void note_unresolved(const struct writer *w)
{
	const struct snapshot_quality *quality = &w->snapshot->quality;
	if (!w->options->unresolved_shown)
		return;
	begin(w);
	buffer_printf(w->out,
		"%" PRIu64 " of %" PRIu64 " code locations have no name; install the "
		"debug symbols of their packages\n",
		quality->locations_unresolved, quality->locations_total);
}

static void note_folded(const struct writer *w)
{
	const struct snapshot_quality *quality = &w->snapshot->quality;
	if (!quality->folded_samples)
		return;
	begin(w);
	put_count(w, quality->folded_samples, "sample", "samples");
	buffer_puts(w->out, " standing for ");
	human_bytes(w->out, quality->folded_bytes);
	buffer_puts(w->out,
		" went to [other] at spprofd's memory bound; a larger SPPROF_RATE needs less\n");
}

static void note_family(const struct writer *w)
{
	const struct snapshot_family *family = &w->snapshot->family;
	if (family->inherited.samples == 0)
		return;
	begin(w);
	describe_bytes(w->out, &family->inherited, w->snapshot);
	if (family->processes == 0) {
		buffer_puts(w->out, " of what lives was inherited by fork; a snapshot of the "
				    "parent with --tree counts it once\n");
		return;
	}
	buffer_puts(w->out, " lives in more than one process, inherited by ");
	put_count(w, family->heirs, "of them", "of them");
	buffer_puts(w->out, " and counted once\n");
}

static void note_family_limits(const struct writer *w)
{
	const struct snapshot_family *family = &w->snapshot->family;
	if (family->left_out > 0) {
		begin(w);
		put_count(w, family->left_out, "descendant is", "descendants are");
		buffer_puts(
			w->out, " left out: of another user, or past the first 256 processes\n");
	}
	if (family->processes > 0 && family->interval_least_bytes < w->snapshot->interval_bytes) {
		begin(w);
		buffer_puts(w->out, "the processes differ in their intervals, the smallest is ");
		human_bytes(w->out, family->interval_least_bytes);
		buffer_putc(w->out, '\n');
	}
	if (family->unmatched > 0) {
		begin(w);
		put_count(w, family->unmatched, "inherited sample", "inherited samples");
		buffer_puts(
			w->out, " may be counted more than once: there are too many to compare\n");
	}
}

void text_notes_put(struct buffer *out, const struct snapshot *snapshot,
	const struct text_notes_options *options)
{
	struct writer w = {.out = out, .snapshot = snapshot, .options = options};
	note_exit(&w);
	note_window(&w);
	note_unconfirmed(&w);
	note_losses(&w);
	note_late_start(&w);
	note_family(&w);
	note_family_limits(&w);
	note_few_samples(&w);
	note_stacks(&w);
	note_unresolved(&w);
	note_folded(&w);
}
