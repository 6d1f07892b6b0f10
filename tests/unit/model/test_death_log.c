/* Windows: what has died in them, as far as there is room to know. */
#include <stdlib.h>
#include "model/death_log.h"
#include "model/heap_model.h"
#include "support/tap_main.h"

static uint64_t ids, times, visits;

static void add_up(const struct heap_birth *birth, uint64_t time_ns, void *data)
{
	(void)data;
	ids += birth->id;
	times += time_ns;
	visits++;
}

static void look(const struct death_log *log)
{
	ids = times = visits = 0;
	death_log_each(log, add_up, NULL);
}

static struct heap_birth born(uint64_t id)
{
	return (struct heap_birth){
		.id = id, .size_bytes = 64, .interval_bytes = 512, .time_ns = id * 10};
}

static void die(struct death_log *log, uint64_t id)
{
	struct heap_birth birth = born(id);
	death_log_add(log, &birth, id * 100);
}

START_TEST(deaths_from_an_id_on_are_logged)
{
	struct death_log *log;
	ck_assert_int_eq(death_log_new(&log, 5, 100), 0);
	die(log, 4);
	die(log, 5);
	die(log, 9);
	look(log);
	ck_assert_uint_eq(visits, 2);
	ck_assert_uint_eq(ids, 14);
	ck_assert_uint_eq(times, 1400);
	ck_assert(death_log_covers(log, 5) && death_log_covers(log, 77));
	ck_assert(!death_log_covers(log, 4));
	death_log_free(log);
}
END_TEST

START_TEST(the_oldest_make_room_and_what_is_missing_is_known)
{
	struct death_log *log;
	ck_assert_int_eq(death_log_new(&log, 1, 100), 0);
	for (uint64_t id = 1; id <= 250; id++)
		die(log, id);
	look(log);
	ck_assert_uint_eq(visits, 100);
	ck_assert_uint_eq(ids, 250 * 251 / 2 - 150 * 151 / 2);
	ck_assert(!death_log_covers(log, 150));
	ck_assert(death_log_covers(log, 151));
	ck_assert_uint_le(death_log_bytes(log), 100 * 64 + 256);
	death_log_free(log);
}
END_TEST

START_TEST(a_model_logs_nothing_until_it_is_asked_to)
{
	struct heap_model *model;
	struct heap_limits limits = {.max_live = 10, .max_deaths = 10};
	ck_assert_int_eq(heap_model_new(&model, &limits), 0);
	ck_assert_uint_eq(heap_model_next_id(model), 1);
	for (uint64_t id = 1; id <= 3; id++) {
		struct heap_birth birth = born(id);
		heap_model_birth(model, &birth);
	}
	heap_model_death(model, 1, 100);
	ck_assert_ptr_null(heap_model_death_log(model));
	ck_assert_uint_eq(heap_model_next_id(model), 4);
	heap_model_log_deaths(model, heap_model_next_id(model));
	heap_model_death(model, 2, 200); /* older than the log */
	struct heap_birth birth = born(4), stillborn = born(5);
	heap_model_birth(model, &birth);
	heap_model_death(model, 5, 500); /* its birth comes behind it */
	heap_model_birth(model, &stillborn);
	heap_model_log_deaths(model, heap_model_next_id(model));
	heap_model_death(model, 4, 400);
	look(heap_model_death_log(model));
	ck_assert_uint_eq(visits, 2);
	ck_assert_uint_eq(ids, 9);
	ck_assert_uint_eq(times, 900);
	ck_assert(death_log_covers(heap_model_death_log(model), 4));
	heap_model_free(model);
}
END_TEST

START_TEST(what_a_sweep_infers_is_logged_without_a_time)
{
	struct heap_model *model;
	struct heap_limits limits = {.max_live = 10, .max_deaths = 10};
	struct heap_birth birth = born(1);
	ck_assert_int_eq(heap_model_new(&model, &limits), 0);
	heap_model_log_deaths(model, heap_model_next_id(model));
	heap_model_birth(model, &birth);
	heap_model_end_round(model);
	heap_model_request(model, 1);
	ck_assert_uint_eq(heap_model_sweep(model, false), 1);
	while (heap_model_tidy(model))
		;
	look(heap_model_death_log(model));
	ck_assert_uint_eq(visits, 1);
	ck_assert_uint_eq(times, 0);
	heap_model_free(model);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("death_log");
	TCase *t = tcase_create("death_log");
	tcase_add_test(t, deaths_from_an_id_on_are_logged);
	tcase_add_test(t, the_oldest_make_room_and_what_is_missing_is_known);
	tcase_add_test(t, a_model_logs_nothing_until_it_is_asked_to);
	tcase_add_test(t, what_a_sweep_infers_is_logged_without_a_time);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
