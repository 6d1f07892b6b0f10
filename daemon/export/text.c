/* Every number of bytes stands beside its interval, its sample count or both. */
#include "export/text.h"
#include <errno.h>
#include <inttypes.h>
#include "base/buffer.h"
#include "export/describe.h"
#include "export/export.h"
#include "export/human.h"
#include "export/text_notes.h"
#include "export/text_sites.h"
#include "export/text_table.h"
#include "model/snapshot.h"

struct encoder {
	const struct snapshot *snapshot;      /* borrows */
	const struct export_options *options; /* borrows */
	struct buffer *out;		      /* borrows */
	struct text_sites sites;
	uint32_t shown; /* rows */
};

static const struct estimate_sum *ranked(const struct encoder *e, const struct estimate_sum *live,
	const struct estimate_sum *cumulative)
{
	return e->options->cumulative ? cumulative : live;
}

static void put_header(const struct encoder *e)
{
	buffer_puts(e->out, e->options->color ? "\033[1m" : "");
	describe_process(e->out, e->snapshot);
	buffer_puts(e->out, e->options->color ? "\033[0m: " : ": ");
	describe_sampling(e->out, e->snapshot);
	buffer_putc(e->out, '\n');
}

static void put_notes(const struct encoder *e)
{
	struct text_notes_options options = {
		.color = e->options->color, .cumulative = e->options->cumulative};
	for (uint32_t i = 0; i < e->shown; i++)
		options.unresolved_shown |= text_sites_unresolved(&e->sites, &e->sites.all[i]);
	text_notes_put(e->out, e->snapshot, &options);
}

static void put_totals(const struct encoder *e)
{
	buffer_puts(e->out, "live ");
	describe_bytes(e->out, &e->snapshot->live, e->snapshot);
	buffer_puts(e->out,
		e->snapshot->window.set ? ", allocated in the window " : ", allocated so far ");
	describe_bytes(e->out, &e->snapshot->cumulative, e->snapshot);
	buffer_putc(e->out, '\n');
}

static void put_rest(const struct encoder *e)
{
	struct estimate_sum rest = {0};
	for (uint32_t i = e->shown; i < e->sites.count; i++)
		estimate_merge(
			&rest, ranked(e, &e->sites.all[i].live, &e->sites.all[i].cumulative));
	if (e->shown == e->sites.count)
		return;
	uint32_t count = e->sites.count - e->shown;
	buffer_printf(e->out, "%" PRIu32 " more site%s: ", count, count == 1 ? "" : "s");
	describe_bytes(e->out, &rest, e->snapshot);
	buffer_putc(e->out, '\n');
}

static void put_unseen(const struct encoder *e)
{
	buffer_puts(e->out, "a site without any sample holds ");
	human_range(e->out, 0, estimate_unseen_bytes(describe_largest_interval(e->snapshot)));
	buffer_puts(e->out, " (95%)\n");
}

static int put_table(const struct encoder *e)
{
	if (!e->shown)
		return 0;
	buffer_putc(e->out, '\n');
	int status = text_table_print(e->out, &e->sites, e->shown,
		ranked(e, &e->snapshot->live, &e->snapshot->cumulative), e->options);
	buffer_putc(e->out, '\n');
	return status;
}

int text_encode(
	const struct snapshot *snapshot, const struct export_options *options, struct buffer *out)
{
	struct encoder e = {.snapshot = snapshot, .options = options, .out = out};
	size_t limit = out->size + EXPORT_MAX_BYTES;
	text_sites_init(&e.sites, snapshot, options->depth, options->cumulative);
	e.shown = e.sites.count;
	if (options->top && options->top < e.shown)
		e.shown = options->top;
	put_header(&e);
	put_notes(&e);
	put_totals(&e);
	int status = put_table(&e);
	put_rest(&e);
	put_unseen(&e);
	text_sites_deinit(&e.sites);
	return status == 0 && out->size > limit ? -EFBIG : status;
}
