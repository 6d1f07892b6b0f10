#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "server/api_framing.h"
#include "support/tap_main.h"

static void put(uint8_t *preamble, uint32_t length, uint8_t version, uint8_t flags)
{
	api_framing_write_preamble(preamble, length);
	preamble[4] = version;
	preamble[6] = flags;
}

START_TEST(messages_come_out_whole_however_the_bytes_arrive)
{
	uint8_t stream[3 * 8 + 5 + 0 + 300];
	size_t end = 0;
	static const uint32_t lengths[] = {5, 0, 300};
	for (size_t i = 0; i < 3; i++) {
		put(stream + end, lengths[i], 1, 0);
		end += 8;
		memset(stream + end, 'a' + (int)i, lengths[i]);
		end += lengths[i];
	}
	for (size_t piece = 1; piece <= sizeof stream; piece++) {
		struct api_framing framing = API_FRAMING_INIT;
		size_t complete = 0;
		for (size_t at = 0; at < sizeof stream; at += piece) {
			const uint8_t *data = stream + at;
			size_t size = sizeof stream - at < piece ? sizeof stream - at : piece;
			int r;
			while ((r = api_framing_feed(&framing, &data, &size)) == 1) {
				ck_assert_uint_eq(framing.length, lengths[complete]);
				for (uint32_t i = 0; i < framing.length; i++)
					ck_assert_int_eq(framing.message[i], 'a' + (int)complete);
				complete++;
				api_framing_next(&framing);
			}
			ck_assert_int_eq(r, 0);
			ck_assert_uint_eq(size, 0);
		}
		ck_assert_uint_eq(complete, 3);
		ck_assert(!api_framing_partial(&framing));
		api_framing_deinit(&framing);
	}
}
END_TEST

START_TEST(a_preamble_is_refused_before_anything_is_allocated)
{
	static const struct {
		uint32_t length;
		uint8_t version, flags;
		int expected;
	} cases[] = {
		{5, 0, 0, -EPROTONOSUPPORT},
		{5, 2, 0, -EPROTONOSUPPORT},
		{5, 1, 1, -EBADMSG},
		{API_FRAMING_MAX_REQUEST + 1, 1, 0, -EMSGSIZE},
		{UINT32_MAX, 1, 0, -EMSGSIZE},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct api_framing framing = API_FRAMING_INIT;
		uint8_t preamble[8];
		put(preamble, cases[i].length, cases[i].version, cases[i].flags);
		const uint8_t *data = preamble;
		size_t size = sizeof preamble;
		ck_assert_int_eq(api_framing_feed(&framing, &data, &size), cases[i].expected);
		ck_assert_ptr_null(framing.message);
		api_framing_deinit(&framing);
	}
}
END_TEST

START_TEST(the_longest_request_is_taken)
{
	struct api_framing framing = API_FRAMING_INIT;
	uint8_t *stream = calloc(1, 8 + API_FRAMING_MAX_REQUEST);
	put(stream, API_FRAMING_MAX_REQUEST, 1, 0);
	const uint8_t *data = stream;
	size_t size = 8 + API_FRAMING_MAX_REQUEST - 1;
	ck_assert_int_eq(api_framing_feed(&framing, &data, &size), 0);
	ck_assert(api_framing_partial(&framing));
	size = 1;
	ck_assert_int_eq(api_framing_feed(&framing, &data, &size), 1);
	api_framing_deinit(&framing);
	free(stream);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("api_framing");
	TCase *t = tcase_create("api_framing");
	tcase_add_test(t, messages_come_out_whole_however_the_bytes_arrive);
	tcase_add_test(t, a_preamble_is_refused_before_anything_is_allocated);
	tcase_add_test(t, the_longest_request_is_taken);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
