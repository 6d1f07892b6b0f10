/*
 * The framing of the API socket (proto/spprof/v1/api.proto): puts requests together from whatever
 * pieces the socket delivers. Pure; bounded by API_FRAMING_MAX_REQUEST per connection; fuzzed. Not
 * thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define API_FRAMING_VERSION	 1u
#define API_FRAMING_PREAMBLE	 8u
#define API_FRAMING_MAX_REQUEST	 (64u << 10)
#define API_FRAMING_MAX_RESPONSE (1u << 20)

struct api_framing {
	uint8_t preamble[API_FRAMING_PREAMBLE];
	uint32_t preamble_used;
	uint32_t length;  /* of the message under way */
	uint32_t used;	  /* bytes of it in `message` */
	uint8_t *message; /* owns; allocated when its first byte arrives */
};

#define API_FRAMING_INIT ((struct api_framing){0})

void api_framing_deinit(struct api_framing *framing);

/* Consumes bytes from *data until a message is complete or they are used up. 1: `message` and
 * `length` hold one (call api_framing_next before feeding on); 0: more bytes are needed;
 * -EPROTONOSUPPORT: version; -EBADMSG: flags; -EMSGSIZE: too long. After an error the stream has no
 * meaning any more. */
int api_framing_feed(struct api_framing *framing, const uint8_t **data, size_t *size);
void api_framing_next(struct api_framing *framing);
/* True in the middle of a message. */
bool api_framing_partial(const struct api_framing *framing);

void api_framing_write_preamble(uint8_t preamble[API_FRAMING_PREAMBLE], uint32_t length);
