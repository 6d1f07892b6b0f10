#include "config.h"
#include "family_fixture.h"
#include "model/heap_model.h"
#include "server/family_ledger.h"

/* 10 forked 20 and 30 after its 99th sample, 20 forked 40 after its 149th. */
static const struct family_member root = {10, 1000, 1, NULL}, child = {20, 1000, 100, &root},
				  sibling = {30, 1000, 100, &root},
				  grandchild = {40, 1000, 150, &child},
				  stranger = {50, 2000, 100, &root};

static struct family_ledger *ledger;

static void setup(void)
{
	ck_assert_int_eq(family_ledger_new(&ledger), 0);
}

static void teardown(void)
{
	family_ledger_free(ledger);
}

static struct session *session_of(const struct family_member *member)
{
	struct session *session;
	struct session_claim claim = family_fixture_claim(member);
	ck_assert_int_eq(session_new(&session, &claim, &options_default_limits,
				 &(const struct session_means){0}),
		0);
	return session;
}

static void begin(const struct family_member *member, bool has_heirs)
{
	struct session *session = session_of(member);
	family_ledger_begin(ledger, session, has_heirs);
	session_unref(session);
}

static bool counts_at(uint64_t id, uint64_t address)
{
	struct heap_birth entry = {
		.id = id, .address = address, .size_bytes = 100, .interval_bytes = 1000};
	bool counts = family_ledger_counts(&entry, ledger);
	ck_assert(family_ledger_has_counted(&entry, ledger) == counts);
	return counts;
}

static bool counts(uint64_t id)
{
	return counts_at(id, 0x1000 + id);
}

static struct family_ledger_sums sums(void)
{
	struct family_ledger_sums sums;
	family_ledger_sums(ledger, &sums);
	return sums;
}

START_TEST(what_was_inherited_counts_where_it_was_born)
{
	begin(&root, true);
	ck_assert(counts(1) && counts(2) && counts(99));
	begin(&child, false);
	ck_assert(!counts(1) && !counts(99));
	begin(&sibling, false);
	ck_assert(!counts(1));
	ck_assert_uint_eq(sums().shared.samples, 2); /* 1 and 99 */
	ck_assert_uint_eq(sums().heirs, 2);
}
END_TEST

START_TEST(what_the_parent_has_freed_counts_in_one_of_its_heirs)
{
	begin(&root, true);
	ck_assert(counts(2));
	begin(&child, false);
	ck_assert(counts(1));
	begin(&sibling, false);
	ck_assert(!counts(1));
	ck_assert_uint_eq(sums().shared.samples, 1);
	ck_assert_uint_eq(sums().heirs, 1);
}
END_TEST

START_TEST(equal_ids_and_addresses_of_siblings_are_two_samples)
{
	begin(&root, true);
	ck_assert(counts(100));
	begin(&child, true);
	ck_assert(counts(100));
	begin(&sibling, false);
	ck_assert(counts(100));
	ck_assert_uint_eq(sums().shared.samples, 0);
}
END_TEST

START_TEST(a_grandchild_has_inherited_from_each_of_its_line)
{
	begin(&root, true);
	ck_assert(counts(5) && counts(120)); /* born there after the fork */
	begin(&child, true);
	ck_assert(!counts(5) && counts(120));
	begin(&grandchild, false);
	ck_assert(!counts(5) && !counts(120) && counts(150));
	ck_assert_uint_eq(sums().shared.samples, 2);
}
END_TEST

START_TEST(those_in_between_need_not_be_there)
{
	static const struct family_member other = {60, 1000, 150, &child};
	begin(&grandchild, false);
	ck_assert(counts(5) && counts(120));
	begin(&other, false);
	ck_assert(!counts(5) && !counts(120));
}
END_TEST

/* Number i gave the ids from 1 + 10 * i to 10 + 10 * i before it forked the next one. */
START_TEST(a_line_may_be_longer_than_what_a_segment_tells_of_it)
{
	struct family_member line[12];
	for (int32_t i = 0; i < 12; i++) {
		line[i] = (struct family_member){
			100 + i, 1000, 1 + 10u * (uint64_t)i, i > 0 ? &line[i - 1] : NULL};
		begin(&line[i], i < 11);
		for (uint64_t giver = 0; giver <= (uint64_t)i; giver++)
			ck_assert(counts(1 + 10 * giver) == (giver == (uint64_t)i));
	}
	ck_assert_uint_eq(sums().shared.samples, 11);
	ck_assert_uint_eq(sums().heirs, 11);
}
END_TEST

START_TEST(a_line_that_says_anything_is_looked_at_all_the_same)
{
	struct family_member line[6];
	for (int32_t i = 0; i < 6; i++) {
		line[i] = (struct family_member){
			100 + i, 1000, i % 2 ? UINT64_MAX : 50, i > 0 ? &line[i - 1] : NULL};
		begin(&line[i], true);
		for (uint64_t id = 1; id < 100; id++)
			counts(id);
		counts(UINT64_MAX);
	}
	/* One that says it was forked from itself. */
	const struct family_member itself = line[2];
	line[2].parent = &itself;
	begin(&line[2], true);
	ck_assert(counts(1000));
}
END_TEST

START_TEST(a_block_at_another_address_is_another_one)
{
	begin(&root, true);
	ck_assert(counts_at(5, 0x1000));
	begin(&child, false);
	ck_assert(counts_at(5, 0x2000));
}
END_TEST

START_TEST(no_claim_takes_anything_from_another_user)
{
	begin(&stranger, false);
	ck_assert(counts(7));
	begin(&child, false);
	ck_assert(counts(7));
	begin(&sibling, false);
	ck_assert(!counts(7));
}
END_TEST

START_TEST(what_is_inherited_is_told_by_the_ids)
{
	struct session *forked = session_of(&child), *first = session_of(&root);
	struct heap_birth entry = {.id = 99};
	ck_assert(family_ledger_is_inherited(forked, &entry));
	ck_assert(!family_ledger_is_inherited(first, &entry));
	entry.id = 100;
	ck_assert(!family_ledger_is_inherited(forked, &entry));
	session_unref(forked);
	session_unref(first);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("family_ledger");
	TCase *t = tcase_create("family_ledger");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_was_inherited_counts_where_it_was_born);
	tcase_add_test(t, what_the_parent_has_freed_counts_in_one_of_its_heirs);
	tcase_add_test(t, equal_ids_and_addresses_of_siblings_are_two_samples);
	tcase_add_test(t, a_grandchild_has_inherited_from_each_of_its_line);
	tcase_add_test(t, those_in_between_need_not_be_there);
	tcase_add_test(t, a_line_may_be_longer_than_what_a_segment_tells_of_it);
	tcase_add_test(t, a_line_that_says_anything_is_looked_at_all_the_same);
	tcase_add_test(t, a_block_at_another_address_is_another_one);
	tcase_add_test(t, no_claim_takes_anything_from_another_user);
	tcase_add_test(t, what_is_inherited_is_told_by_the_ids);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
