/*
 * A preamble is judged when its eighth byte is there, before any memory is allocated for the
 * message it announces. A message of length 0 is a valid, empty one.
 */
#include "server/api_framing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint16_t get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

void api_framing_deinit(struct api_framing *framing)
{
	free(framing->message);
	*framing = API_FRAMING_INIT;
}

static size_t take(uint8_t *to, uint32_t used, uint32_t wanted, const uint8_t **data, size_t *size)
{
	size_t count = wanted - used;
	if (count > *size)
		count = *size;
	memcpy(to + used, *data, count);
	*data += count;
	*size -= count;
	return count;
}

static int judge(struct api_framing *framing)
{
	if (get_u16(framing->preamble + 4) != API_FRAMING_VERSION)
		return -EPROTONOSUPPORT;
	if (get_u16(framing->preamble + 6) != 0)
		return -EBADMSG;
	framing->length = get_u32(framing->preamble);
	if (framing->length > API_FRAMING_MAX_REQUEST)
		return -EMSGSIZE;
	return 0;
}

int api_framing_feed(struct api_framing *framing, const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	if (framing->preamble_used < API_FRAMING_PREAMBLE) {
		framing->preamble_used += (uint32_t)take(framing->preamble, framing->preamble_used,
			API_FRAMING_PREAMBLE, data, size);
		if (framing->preamble_used < API_FRAMING_PREAMBLE)
			return 0;
		int r = judge(framing);
		if (r < 0)
			return r;
	}
	if (framing->used<framing->length && * size> 0) {
		if (framing->message == NULL)
			framing->message = alloc_zeroed(1, framing->length);
		framing->used += (uint32_t)take(
			framing->message, framing->used, framing->length, data, size);
	}
	return framing->used == framing->length ? 1 : 0;
}

void api_framing_next(struct api_framing *framing)
{
	api_framing_deinit(framing);
}

bool api_framing_partial(const struct api_framing *framing)
{
	return framing->preamble_used > 0;
}

void api_framing_write_preamble(uint8_t preamble[API_FRAMING_PREAMBLE], uint32_t length)
{
	for (unsigned i = 0; i < 4; i++)
		preamble[i] = (uint8_t)(length >> (8 * i));
	preamble[4] = API_FRAMING_VERSION;
	preamble[5] = preamble[6] = preamble[7] = 0;
}
