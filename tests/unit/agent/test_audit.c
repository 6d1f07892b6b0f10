/* audit: what is told, in which parts, and when it is left out. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "audit.h"
#include "fork_word.h"
#include "ring_producer.h"
#include "segment.h"
#include "spprof/wire/record.h"
#include "stack_store.h"
#include "support/tap_main.h"
#include "thread_state.h"
#include "unwind/walk.h"

#define RINGS	  2
#define RING_SIZE (64u << 10)

static struct segment segment;
static uint64_t tail[RINGS];
static union {
	struct wire_birth birth;
	uint8_t bytes[WIRE_RECORD_MAX];
} sample;
static struct stack_view walked = {.frames = sample.birth.frames};
static _Alignas(8) uint8_t stack[WIRE_AUDIT_STACK_MAX];
static _Alignas(8) uint8_t payload[WIRE_AUDIT_PAYLOAD_MAX];
static const struct walk_regs caller = {.pc = 0x1000, .sp = 0x7000, .fp = 0x7100};

static void setup(void)
{
	const struct segment_facts facts = {
		.ring_count = RINGS, .ring_size = RING_SIZE, .interval_bytes = 1024};

	ck_assert_int_eq(fork_word_make(), 0);
	ck_assert_int_eq(segment_create(&segment, &facts), 0);
	for (size_t i = 0; i < sizeof stack; i++)
		stack[i] = (uint8_t)(i * 7 + i / 256);
	memset(tail, 0, sizeof tail);
}

static void sampled(uint16_t frames)
{
	sample.birth = (struct wire_birth){.id = 77, .module_epoch = 5, .frame_count = frames};
	walked.frame_count = frames;
	walked.module_epoch = 5;
	walked.stop = WIRE_STOP_END;
	for (uint16_t i = 0; i < frames; i++)
		sample.birth.frames[i] = 0x1000 + i;
}

static uint64_t head(unsigned ring)
{
	return atomic_load(&segment.rings[ring].head);
}

static uint64_t counted(_Atomic uint64_t *counter)
{
	return atomic_load(counter);
}

static struct wire_audit *next_part(unsigned ring)
{
	static _Alignas(8) uint8_t out[WIRE_RECORD_MAX];
	const uint8_t *data = segment.data + (size_t)ring * RING_SIZE;
	uint32_t size;

	if (tail[ring] == head(ring))
		return NULL;
	memcpy(&size, data + tail[ring] % RING_SIZE, sizeof size);
	ck_assert_uint_le(size, sizeof out);
	for (uint32_t i = 0; i < size; i++)
		out[i] = data[(tail[ring] + i) % RING_SIZE];
	tail[ring] += size;
	return (struct wire_audit *)out;
}

/* Puts the parts together, as a reader does. */
static uint32_t collect(unsigned ring, uint32_t frames, uint32_t bytes)
{
	uint32_t total = 0;

	for (struct wire_audit *part; (part = next_part(ring));) {
		uint32_t size = part->record.size - (uint32_t)sizeof *part;

		ck_assert_uint_eq(part->record.type, WIRE_AUDIT);
		ck_assert_uint_eq(part->record.size % 8, 0);
		ck_assert_uint_eq(part->offset, total);
		ck_assert_uint_eq(part->id, 77);
		ck_assert_uint_eq(part->pc, caller.pc);
		ck_assert_uint_eq(part->sp, caller.sp);
		ck_assert_uint_eq(part->fp, caller.fp);
		ck_assert_uint_eq(part->module_epoch, 5);
		ck_assert_uint_eq(part->frame_count, frames);
		ck_assert_uint_eq(part->stack_bytes, bytes);
		ck_assert_uint_eq(part->stop, WIRE_STOP_END);
		ck_assert_uint_gt(size, 0);
		memcpy(payload + total, part->payload, size);
		total += size;
	}
	return total;
}

START_TEST(frames_and_stack_come_in_parts_that_make_up_the_whole)
{
	static const struct {
		uint16_t frames;
		uint32_t bytes;
	} cases[] = {{1, 8}, {30, 4096}, {30, 4104}, {WIRE_MAX_FRAMES, WIRE_AUDIT_STACK_MAX}};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint32_t frames_size = cases[i].frames * 8u;

		sampled(cases[i].frames);
		audit_tell_bytes(&segment, &sample.birth, &walked, &caller, stack, cases[i].bytes);
		ck_assert_uint_eq(
			collect(0, cases[i].frames, cases[i].bytes), frames_size + cases[i].bytes);
		ck_assert_int_eq(memcmp(payload, sample.birth.frames, frames_size), 0);
		ck_assert_int_eq(memcmp(payload + frames_size, stack, cases[i].bytes), 0);
		atomic_store(&segment.rings[0].tail, tail[0]);
	}
	ck_assert_uint_eq(counted(&segment.header->counters.audits), 4);
	ck_assert_uint_eq(atomic_load(&segment.header->dirty), 1);
	ck_assert_uint_eq(atomic_load(&segment.rings[0].lease), 0);
}
END_TEST

START_TEST(half_of_each_ring_is_left_to_births)
{
	sampled(10);
	for (int i = 0; i < 20; i++)
		audit_tell_bytes(&segment, &sample.birth, &walked, &caller, stack, sizeof stack);
	for (unsigned ring = 0; ring < RINGS; ring++)
		ck_assert_uint_le(head(ring), RING_SIZE / 2);
	ck_assert_uint_eq(counted(&segment.header->counters.audits), RINGS);
	ck_assert_uint_eq(counted(&segment.header->counters.audits_dropped), 20 - RINGS);
	for (unsigned kind = 0; kind < WIRE_LOSS_KINDS; kind++)
		ck_assert_uint_eq(counted(&segment.header->counters.loss_count[kind]), 0);
}
END_TEST

START_TEST(nothing_of_an_audit_is_seen_before_all_of_it)
{
	struct ring_lease lease;

	sampled(10);
	ck_assert_int_eq(ring_producer_lease(&segment, 1, 64, &lease), RING_PRODUCER_OK);
	ring_producer_put(&segment, &lease, stack, 32);
	ring_producer_put(&segment, &lease, stack + 32, 32);
	ck_assert_uint_eq(head(0), 0);
	ring_producer_publish(&lease);
	ck_assert_uint_eq(head(0), 64);
	ring_producer_release(&segment, &lease);
	ck_assert_int_eq(memcmp(segment.data, stack, 64), 0);
}
END_TEST

START_TEST(one_sample_in_so_many_is_due)
{
	uint32_t since = 0, other = 0;
	unsigned due = 0;

	audit_init(10);
	for (int i = 0; i < 100; i++)
		due += audit_is_due(&since);
	ck_assert_uint_eq(due, 10);
	audit_init(1);
	ck_assert(audit_is_due(&other) && audit_is_due(&other));
	audit_init(0);
	for (int i = 0; i < 100; i++)
		ck_assert(!audit_is_due(&since));
}
END_TEST

START_TEST(the_running_stack_is_told_from_the_caller_on)
{
	if (getenv("SPPROF_SANITIZED")) {
		puts("# AddressSanitizer fences off what is copied here");
		return;
	}
	walk_init();
	uintptr_t mark[4] = {0x1111, 0x2222, 0x3333, 0x4444};
	struct walk_regs here = {.pc = 0x1000, .sp = (uintptr_t)mark, .fp = 0};

	__asm__ volatile("" : : "r"(mark) : "memory");
	sampled(1);
	audit_tell(&segment, &sample.birth, &walked, &here);
	ck_assert_uint_eq(counted(&segment.header->counters.audits), 1);
	struct wire_audit *part = next_part(0);
	ck_assert_uint_eq(part->sp, (uintptr_t)mark);
	ck_assert_uint_gt(part->stack_bytes, sizeof mark);
	part = next_part(0);
	ck_assert_int_eq(memcmp(part->payload, mark, sizeof mark), 0);
}
END_TEST

START_TEST(a_stack_that_is_not_the_threads_own_is_left_out)
{
	walk_init();
	uint8_t *foreign = calloc(1, 4096);
	struct walk_regs here = {.pc = 0x1000, .sp = (uintptr_t)foreign + 512};

	sampled(1);
	audit_tell(&segment, &sample.birth, &walked, &here);
	ck_assert_uint_eq(counted(&segment.header->counters.audits), 0);
	ck_assert_uint_eq(counted(&segment.header->counters.audits_foreign), 1);
	ck_assert_uint_eq(head(0), 0);
	free(foreign);
}
END_TEST

/* Sanitizers keep much on a thread's stack. */
enum { COROUTINE_BYTES = 8192, THREAD_BYTES = 4 << 20 };

/* As when the thread runs at the top of a coroutine's stack. */
static void tell_from_coroutine(uint8_t *top)
{
	struct walk_regs here = {.pc = 0x1000, .sp = (uintptr_t)top - 64};
	audit_tell(&segment, &sample.birth, &walked, &here);
}

/* Two stacks of coroutines lie right below this thread's. */
static void *run_above_coroutines(void *lowest)
{
	uint8_t *top = (uint8_t *)lowest + COROUTINE_BYTES;
	tell_from_coroutine(top);
	ck_assert_uint_eq(counted(&segment.header->counters.audits), 1);
	ck_assert_int_eq(mprotect(top, COROUTINE_BYTES, PROT_NONE), 0); /* as if unmapped */
	tell_from_coroutine(top);
	return NULL;
}

START_TEST(a_stack_with_a_gap_above_it_is_left_out)
{
	pthread_attr_t attributes;
	pthread_t thread;
	uint8_t *base = mmap(NULL, 2 * COROUTINE_BYTES + THREAD_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(base, MAP_FAILED);
	walk_init();
	sampled(1);
	pthread_attr_init(&attributes);
	ck_assert_int_eq(
		pthread_attr_setstack(&attributes, base + 2 * COROUTINE_BYTES, THREAD_BYTES), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, run_above_coroutines, base), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(counted(&segment.header->counters.audits), 1);
	ck_assert_uint_eq(counted(&segment.header->counters.audits_foreign), 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("audit");
	TCase *t = tcase_create("audit");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, frames_and_stack_come_in_parts_that_make_up_the_whole);
	tcase_add_test(t, half_of_each_ring_is_left_to_births);
	tcase_add_test(t, nothing_of_an_audit_is_seen_before_all_of_it);
	tcase_add_test(t, one_sample_in_so_many_is_due);
	tcase_add_test(t, the_running_stack_is_told_from_the_caller_on);
	tcase_add_test(t, a_stack_that_is_not_the_threads_own_is_left_out);
	tcase_add_test(t, a_stack_with_a_gap_above_it_is_left_out);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
