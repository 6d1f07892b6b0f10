/* A brake may have raised the interval for a while: the largest one among the samples is told too.
 */
#include "export/describe.h"
#include <inttypes.h>
#include <math.h>
#include "base/buffer.h"
#include "export/human.h"
#include "export/utf8.h"
#include "model/snapshot.h"

void describe_process(struct buffer *out, const struct snapshot *snapshot)
{
	utf8_append_ascii(out, snapshot->comm);
	buffer_printf(
		out, "[%" PRId32 "]%s", snapshot->pid, snapshot->quality.exited ? " (exited)" : "");
	uint32_t others = snapshot->family.descendants;
	if (others > 0)
		buffer_printf(out, " and %" PRIu32 " process%s forked from it", others,
			others == 1 ? "" : "es");
}

void describe_losses(struct buffer *out, const struct snapshot *snapshot)
{
	const struct snapshot_quality *quality = &snapshot->quality;
	if (!quality->lost_samples && !quality->lost_deaths) {
		buffer_puts(out, "nothing lost");
		return;
	}
	buffer_puts(out, "lost ");
	if (quality->lost_samples) {
		buffer_printf(out, "%" PRIu64 " sample%s (", quality->lost_samples,
			quality->lost_samples == 1 ? "" : "s");
		human_bytes(out, quality->lost_bytes);
		buffer_putc(out, ')');
	}
	if (quality->lost_deaths)
		buffer_printf(out, "%s%" PRIu64 " free%s", quality->lost_samples ? " and " : "",
			quality->lost_deaths, quality->lost_deaths == 1 ? "" : "s");
}

double describe_largest_interval(const struct snapshot *snapshot)
{
	return fmax(snapshot->interval_bytes, snapshot->cumulative.interval_max);
}

static void describe_window(struct buffer *out, const struct snapshot_window *window)
{
	if (!window->set)
		return;
	buffer_printf(out, "; only samples from id %" PRIu64 " on", window->since_id);
	if (window->until_id > 0)
		buffer_printf(out, " to before %" PRIu64, window->until_id);
	if (window->thread > 0)
		buffer_printf(out, " of thread %" PRIu32, window->thread);
}

void describe_sampling(struct buffer *out, const struct snapshot *snapshot)
{
	double largest = describe_largest_interval(snapshot);
	buffer_puts(out, "sampled every ");
	human_bytes(out, snapshot->interval_bytes);
	if (largest > snapshot->interval_bytes) {
		buffer_puts(out, " (at times ");
		human_bytes(out, largest);
		buffer_putc(out, ')');
	}
	buffer_puts(out, " since ");
	human_time(out, snapshot->since_unix_ns);
	if (snapshot->taken_unix_ns > snapshot->since_unix_ns) {
		buffer_puts(out, " (");
		human_duration(out, snapshot->taken_unix_ns - snapshot->since_unix_ns);
		buffer_putc(out, ')');
	}
	buffer_puts(out, ", ");
	describe_losses(out, snapshot);
	describe_window(out, &snapshot->window);
}

void describe_bytes(
	struct buffer *out, const struct estimate_sum *sum, const struct snapshot *snapshot)
{
	struct estimate_interval bytes = estimate_bytes(sum);
	if (!sum->samples)
		bytes.high = estimate_unseen_bytes(describe_largest_interval(snapshot));
	human_bytes(out, bytes.value);
	buffer_puts(out, " (95%: ");
	human_range(out, bytes.low, bytes.high);
	buffer_printf(out, ", %" PRIu64 " sample%s)", sum->samples, sum->samples == 1 ? "" : "s");
}
