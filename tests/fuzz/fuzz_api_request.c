/*
 * What a client may send to the daemon, cut into pieces as a socket would: the first byte chooses
 * how. The framing must find the same messages however they are cut, keep its bounds, and each
 * message is unpacked.
 */
#include <stdlib.h>
#include <string.h>
#include "server/api_framing.h"
#include "spprof/v1/api.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	unsigned messages;
	uint64_t bytes;
	int error;
};

static void check(int condition)
{
	if (!condition)
		abort();
}

static void unpack(const struct api_framing *framing)
{
	Spprof__V1__Request *request =
		spprof__v1__request__unpack(NULL, framing->length, framing->message);

	if (request)
		spprof__v1__request__free_unpacked(request, NULL);
}

static struct outcome feed(const uint8_t *data, size_t size, size_t piece)
{
	struct api_framing framing = API_FRAMING_INIT;
	struct outcome outcome = {0};

	for (size_t at = 0; at < size && outcome.error == 0; at += piece) {
		const uint8_t *next = data + at;
		size_t left = size - at < piece ? size - at : piece;
		int r;

		while ((r = api_framing_feed(&framing, &next, &left)) == 1) {
			check(framing.length <= API_FRAMING_MAX_REQUEST);
			unpack(&framing);
			outcome.messages++;
			outcome.bytes += framing.length;
			api_framing_next(&framing);
		}
		check(r < 0 || left == 0);
		outcome.error = r;
	}
	api_framing_deinit(&framing);
	return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct outcome whole = feed(data + 1, size - 1, size);
	struct outcome pieces = feed(data + 1, size - 1, 1 + data[0] % 32);

	check(whole.messages == pieces.messages && whole.bytes == pieces.bytes &&
		whole.error == pieces.error);
	return 0;
}
