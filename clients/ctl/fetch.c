#include "config.h"
#include "ctl/fetch.h"

/* The daemon is silent while it waits for names, which the request bounds, and while it encodes. */
#define NAMES_MS    2000
#define ENCODING_MS 30000

struct sink {
	struct output *output;
	bool failed;
};

static int take_piece(const Spprof__V1__Response *response, void *data)
{
	struct sink *sink = data;
	const Spprof__V1__SnapshotResponse *piece = response->snapshot;
	int result = output_write(sink->output, piece->data.data, piece->data.len);
	sink->failed = result < 0;
	return result;
}

int fetch_snapshot(struct link *link, const Spprof__V1__SnapshotRequest *snapshot,
	struct output *output, bool *output_failed)
{
	struct sink sink = {.output = output};
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = (Spprof__V1__SnapshotRequest *)snapshot;
	uint32_t names_ms = snapshot->timeout_ms ? snapshot->timeout_ms : NAMES_MS;
	int result = api_client_call(
		link->client, &request, (int)names_ms + ENCODING_MS, take_piece, &sink);
	if (result == 0) {
		result = output_commit(output);
		sink.failed = result < 0;
	}
	*output_failed = sink.failed;
	return result;
}
