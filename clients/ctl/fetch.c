#include "config.h"
#include "ctl/fetch.h"

#include <stdio.h>
#include <string.h>

#include "common/scope.h"
#include "ctl/format.h"
#include "ctl/message.h"

/* The daemon is silent while it waits for names, which the request bounds, and while it encodes. */
#define NAMES_MS    2000
#define ENCODING_MS 30000

struct sink {
	struct output *output;
	int failure; /* of the output, as opposed to the daemon's */
};

static int take_piece(const Spprof__V1__Response *response, void *data)
{
	struct sink *sink = data;
	const Spprof__V1__SnapshotResponse *piece = response->snapshot;
	sink->failure = output_write(sink->output, piece->data.data, piece->data.len);
	return sink->failure;
}

static int report_output(int result, const char *file)
{
	if (result == 0)
		return CTL_OK;
	message_print("cannot write %s: %s", file ? file : "to standard output", strerror(-result));
	return CTL_FAILED;
}

int fetch_snapshot(struct link *link, const Spprof__V1__SnapshotRequest *snapshot,
	struct output *output, const char *file)
{
	struct sink sink = {.output = output};
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = (Spprof__V1__SnapshotRequest *)snapshot;
	uint32_t names_ms = snapshot->timeout_ms ? snapshot->timeout_ms : NAMES_MS;
	int result = api_client_call(
		link->client, &request, (int)names_ms + ENCODING_MS, take_piece, &sink);
	if (sink.failure < 0)
		return report_output(sink.failure, file);
	_cleanup_free_ char *what = scope_printf("the snapshot of process %d", (int)snapshot->pid);
	return link_report(link, result, what);
}

int fetch_commit(struct output *output, const char *file)
{
	return report_output(output_commit(output), file);
}

void fetch_say_written(Spprof__V1__SnapshotRequest__Format format, const char *file)
{
	char open_it[4096];
	const char *viewer = format_viewer(format), *place = viewer ? strstr(viewer, "%s") : NULL;
	if (!place) {
		message_print("wrote %s", file);
		return;
	}
	snprintf(open_it, sizeof(open_it), "%.*s%s%s", (int)(place - viewer), viewer, file,
		place + 2);
	message_print("wrote %s; open it: %s", file, open_it);
}
