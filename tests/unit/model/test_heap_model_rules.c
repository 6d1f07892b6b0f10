/* Any order of events, against lists that follow the rules of the protocol step by step. */
#include <string.h>
#include "heap_fixture.h"
#include "support/random.h"

/* Requests, readings and sweeps at random, against a list that knows what each of them means. */
START_TEST(any_order_of_requests_readings_and_sweeps_gives_what_the_rules_say)
{
	enum { IDS = 3000 };
	static struct {
		bool lives, named, found;
	} truth[IDS + 1];
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed};
		struct heap_model *model = new_model(&roomy);
		memset(truth, 0, sizeof(truth));
		uint32_t epoch = 0;
		uint64_t next = 1, live = 0;
		for (int i = 0; i < 20000; i++) {
			uint64_t id = 1 + random_below(&random, IDS), swept = 0;
			bool spare = random_below(&random, 2);
			switch (random_below(&random, 400)) {
			case 0: /* as often as not before all is tidy */
				heap_model_request(model, ++epoch);
				for (id = 1; id <= IDS; id++)
					truth[id].named = false;
				break;
			case 1:
				heap_model_begin_reading(model);
				for (id = 1; id <= IDS; id++)
					truth[id].found = false;
				break;
			case 2:
				for (id = 1; id <= IDS; id++) {
					bool dead = truth[id].lives && !truth[id].named &&
						    !(spare && truth[id].found);
					swept += dead;
					truth[id].lives &= !dead;
				}
				live -= swept;
				ck_assert_uint_eq(heap_model_sweep(model, spare), swept);
				heap_model_begin_reading(model);
				for (id = 1; id <= IDS; id++)
					truth[id].found = false;
				break;
			case 3 ... 150:
				if (next > IDS)
					break;
				give_birth(model, next);
				truth[next].lives = truth[next].named = true;
				live++, next++;
				break;
			case 151 ... 250:
				if (!truth[id].lives || epoch == 0)
					break;
				tell_live(model, id, epoch);
				truth[id].named = true;
				truth[id].found = false;
				break;
			case 251 ... 350:
				if (!truth[id].lives)
					break;
				read_entry(model, id, false, epoch);
				truth[id].found = !truth[id].named;
				break;
			case 351 ... 380:
				if (!truth[id].lives)
					break;
				heap_model_death(model, id, 0);
				truth[id].lives = false;
				live--;
				break;
			default:
				heap_model_end_round(model);
				if (random_below(&random, 10) == 0)
					heap_model_tidy(model);
			}
			ck_assert_uint_eq(totals_of(model).live, live);
		}
		uint64_t digest = 0, visited = 0;
		for (uint64_t id = 1; id <= IDS; id++)
			digest += truth[id].lives ? wire_digest(id) : 0;
		heap_model_each_live(model, count_visit, &visited);
		ck_assert_uint_eq(totals_of(model).digest, digest);
		ck_assert_uint_eq(visited, digest);
		heap_model_free(model);
	}
}
END_TEST

/* The rules of the round as the protocol states them, with lists instead of tables. */
struct naive {
	struct heap_birth live[4096];
	size_t live_count;
	struct {
		uint64_t id;
		uint32_t round;
		bool born;
	} remembered[8192];
	size_t remembered_count;
	uint32_t round;
	uint64_t births, deaths, unknown;
};

static void naive_birth(struct naive *n, const struct heap_birth *birth)
{
	for (size_t i = 0; i < n->live_count; i++)
		if (n->live[i].id == birth->id)
			return;
	for (size_t i = 0; i < n->remembered_count; i++) {
		if (n->remembered[i].id == birth->id) {
			n->births += !n->remembered[i].born;
			n->deaths += !n->remembered[i].born;
			n->remembered[i].born = true;
			return;
		}
	}
	n->births++;
	n->live[n->live_count++] = *birth;
}

static void naive_death(struct naive *n, uint64_t id)
{
	bool born = false;
	for (size_t i = 0; i < n->live_count; i++) {
		if (n->live[i].id == id) {
			n->live[i] = n->live[--n->live_count];
			n->deaths++;
			born = true;
		}
	}
	for (size_t i = 0; i < n->remembered_count; i++)
		if (n->remembered[i].id == id)
			return;
	n->remembered[n->remembered_count].id = id;
	n->remembered[n->remembered_count].round = n->round;
	n->remembered[n->remembered_count++].born = born;
}

static void naive_end_round(struct naive *n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n->remembered_count; i++) {
		if (n->remembered[i].round + 1 > n->round)
			n->remembered[kept++] = n->remembered[i];
		else
			n->unknown += !n->remembered[i].born;
	}
	n->remembered_count = kept;
	n->round++;
}

struct marks {
	bool seen[4097];
	uint64_t digest;
};

static void mark(const struct heap_birth *entry, void *data)
{
	struct marks *marks = data;
	struct heap_birth expected = birth_of(entry->id);
	ck_assert_mem_eq(entry, &expected, sizeof(expected));
	ck_assert(!marks->seen[entry->id]);
	marks->seen[entry->id] = true;
	marks->digest += wire_digest(entry->id);
}

static void assert_equals_naive(const struct heap_model *model, const struct naive *n)
{
	static struct marks marks;
	struct heap_totals totals = totals_of(model);
	memset(&marks, 0, sizeof(marks));
	heap_model_each_live(model, mark, &marks);
	for (size_t i = 0; i < n->live_count; i++)
		ck_assert(marks.seen[n->live[i].id]);
	ck_assert_uint_eq(totals.live, n->live_count);
	ck_assert_uint_eq(totals.digest, marks.digest);
	ck_assert_uint_eq(totals.births, n->births);
	ck_assert_uint_eq(totals.deaths, n->deaths);
	ck_assert_uint_eq(totals.unknown_deaths, n->unknown);
	ck_assert_uint_eq(totals.births, totals.deaths + totals.live + totals.folded_samples);
}

struct event {
	uint64_t id;
	bool is_death;
};

static void shuffle(struct event *events, size_t count, struct random *random)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = random_below(random, i);
		struct event event = events[i - 1];
		events[i - 1] = events[other];
		events[other] = event;
	}
}

/* Any events in any order, ids reused without mercy: the two models must agree after every round.
 */
START_TEST(any_event_order_gives_what_the_rules_say)
{
	static struct naive naive;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed};
		struct heap_model *model = new_model(&roomy);
		memset(&naive, 0, sizeof(naive));
		naive.round = 1;
		for (int round = 0; round < 40; round++) {
			uint64_t events = random_below(&random, 100);
			for (uint64_t i = 0; i < events; i++) {
				uint64_t id = 1 + random_below(&random, 300);
				if (random_below(&random, 2)) {
					struct heap_birth birth = birth_of(id);
					give_birth(model, id);
					naive_birth(&naive, &birth);
				} else {
					heap_model_death(model, id, 0);
					naive_death(&naive, id);
				}
			}
			assert_equals_naive(model, &naive);
			heap_model_end_round(model);
			naive_end_round(&naive);
			assert_equals_naive(model, &naive);
		}
		heap_model_free(model);
	}
}
END_TEST

/* What rings do to a correct worker: each id is born once and dies at most once, and the DEATH may
 * be read up to one round before the BIRTH. The outcome must be that of the true order. */
START_TEST(orders_shuffled_within_two_rounds_end_in_the_true_heap)
{
	enum { IDS = 2000, ROUNDS = 30 };
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed * 7919};
		static struct event rounds[ROUNDS + 2][4 * IDS];
		size_t counts[ROUNDS + 2] = {0};
		uint64_t deaths = 0, digest = 0;
		static struct estimate_sum expected_live[50], live[50], cumulative[50];
		memset(expected_live, 0, sizeof(expected_live));
		for (uint64_t id = 1; id <= IDS; id++) {
			uint64_t birth_round = 1 + random_below(&random, ROUNDS);
			rounds[birth_round][counts[birth_round]++] = (struct event){id, false};
			if (random_below(&random, 4) == 0) {
				struct heap_birth birth = birth_of(id);
				estimate_add(&expected_live[birth.stack], birth.size_bytes,
					birth.interval_bytes);
				digest += wire_digest(id);
				continue;
			}
			uint64_t earliest = birth_round - 1;
			uint64_t death_round =
				earliest + random_below(&random, ROUNDS + 2 - earliest);
			rounds[death_round][counts[death_round]++] = (struct event){id, true};
			deaths++;
		}
		struct heap_model *model = new_model(&roomy);
		for (size_t r = 0; r < ROUNDS + 2; r++) {
			shuffle(rounds[r], counts[r], &random);
			for (size_t i = 0; i < counts[r]; i++) {
				if (rounds[r][i].is_death)
					heap_model_death(model, rounds[r][i].id, 0);
				else
					give_birth(model, rounds[r][i].id);
			}
			heap_model_end_round(model);
		}
		struct heap_totals totals = totals_of(model);
		ck_assert_uint_eq(totals.births, IDS);
		ck_assert_uint_eq(totals.deaths, deaths);
		ck_assert_uint_eq(totals.live, IDS - deaths);
		ck_assert_uint_eq(totals.digest, digest);
		ck_assert_uint_eq(totals.unknown_deaths + totals.duplicate_births, 0);
		heap_model_sums(model, live, cumulative, 50);
		for (int i = 0; i < 50; i++) {
			ck_assert_uint_eq(live[i].samples, expected_live[i].samples);
			ck_assert_double_eq_tol(live[i].bytes, expected_live[i].bytes,
				1e-9 * expected_live[i].bytes);
			ck_assert_uint_eq(cumulative[i].samples, IDS / 50);
		}
		heap_model_free(model);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("heap_model_rules");
	TCase *t = tcase_create("heap_model_rules");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, any_order_of_requests_readings_and_sweeps_gives_what_the_rules_say);
	tcase_add_test(t, any_event_order_gives_what_the_rules_say);
	tcase_add_test(t, orders_shuffled_within_two_rounds_end_in_the_true_heap);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
