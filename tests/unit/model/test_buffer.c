#include "base/buffer.h"
#include <stdlib.h>
#include <string.h>
#include "support/tap_main.h"

START_TEST(appended_pieces_come_out_in_order)
{
	struct buffer b = BUFFER_INIT;
	buffer_puts(&b, "heap");
	buffer_putc(&b, ' ');
	buffer_append(&b, "of", 2);
	buffer_append(&b, NULL, 0);
	buffer_printf(&b, " %d %s", 42, "KiB");
	ck_assert_uint_eq(b.size, strlen("heap of 42 KiB"));
	ck_assert_mem_eq(b.data, "heap of 42 KiB", b.size);
	buffer_deinit(&b);
	ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(formatted_text_of_every_length_fits_around_the_growth)
{
	struct buffer b = BUFFER_INIT;
	char expected[600];
	memset(expected, 'x', sizeof(expected));
	for (int length = 0; length < 600; length++) {
		buffer_clear(&b);
		buffer_printf(&b, "%.*s", length, expected);
		ck_assert_uint_eq(b.size, length);
		ck_assert_int_eq(memcmp(b.data, expected, (size_t)length), 0);
		buffer_deinit(&b);
	}
}
END_TEST

START_TEST(a_reserve_leaves_the_size_and_gives_the_room)
{
	struct buffer b = BUFFER_INIT;
	buffer_puts(&b, "ab");
	uint8_t *room = buffer_reserve(&b, 10000);
	ck_assert_uint_eq(b.size, 2);
	ck_assert_ptr_eq(room, b.data + 2);
	memset(room, 'c', 10000);
	b.size += 10000;
	ck_assert_uint_ge(b.capacity, b.size);
	ck_assert_mem_eq(b.data, "abcc", 4);
	buffer_deinit(&b);
	ck_assert_ptr_nonnull(buffer_reserve(&b, 0));
	buffer_deinit(&b);
}
END_TEST

START_TEST(taken_bytes_are_the_callers)
{
	struct buffer b = BUFFER_INIT;
	size_t size;
	ck_assert_ptr_null(buffer_take(&b, &size));
	ck_assert_uint_eq(size, 0);
	buffer_puts(&b, "mine");
	uint8_t *data = buffer_take(&b, &size);
	ck_assert_uint_eq(size, 4);
	ck_assert_uint_eq(b.size + b.capacity, 0);
	buffer_puts(&b, "another");
	ck_assert_mem_eq(data, "mine", 4);
	free(data);
	buffer_deinit(&b);
}
END_TEST

START_TEST(a_million_single_bytes_do_not_copy_a_million_times)
{
	struct buffer b = BUFFER_INIT;
	int moves = 0;
	const uint8_t *last = NULL;
	for (int i = 0; i < 1000000; i++) {
		buffer_putc(&b, 'x');
		moves += b.data != last;
		last = b.data;
	}
	ck_assert_int_le(moves, 20);
	ck_assert_uint_le(b.capacity, 2 * b.size);
	buffer_deinit(&b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("buffer");
	TCase *t = tcase_create("buffer");
	tcase_add_test(t, appended_pieces_come_out_in_order);
	tcase_add_test(t, formatted_text_of_every_length_fits_around_the_growth);
	tcase_add_test(t, a_reserve_leaves_the_size_and_gives_the_room);
	tcase_add_test(t, taken_bytes_are_the_callers);
	tcase_add_test(t, a_million_single_bytes_do_not_copy_a_million_times);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
