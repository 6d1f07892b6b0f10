/* The state machine alone: the clock, the worker and its rings are numbers of the test's. */
#pragma once
#include "server/resync.h"
#include "support/tap_main.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

static struct resync resync;
static struct resync_view view;

static inline void begin(uint32_t asked_before, enum resync_reason reason)
{
	view = (struct resync_view){.now_ns = 1000 * S, .all_slots = 8192};
	resync_init(&resync, asked_before, reason, &view);
}

static inline void setup(void)
{
	begin(0, RESYNC_READ_BEFORE);
}

/* Another round, `ns` later. */
static inline enum resync_step step(uint64_t ns)
{
	view.now_ns += ns;
	view.rounds++;
	enum resync_step next = resync_round_ended(&resync, &view);
	/* The next round begins at once. */
	view.losses_before = view.losses;
	view.damage_before = view.damage;
	return next;
}

static inline void tell(uint32_t epoch, uint32_t lives)
{
	for (uint32_t i = 0; i < lives; i++)
		resync_hear_live(&resync, epoch);
	view.slots += 64;
}

static inline void sweep(void)
{
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(15 * MS), RESYNC_SWEEP);
	resync_swept(&resync, &view);
}

static inline void answer(uint32_t lives)
{
	tell(resync.epoch, lives);
	resync_hear_end(&resync, resync.epoch, lives);
	sweep();
}

static inline void read_slice(int result, bool still)
{
	const struct resync_slice slice = {
		.result = result, .still = still, .announced = true, .percent = 50};
	if (resync.read_began_ns == 0)
		resync_read_begins(&resync, &view);
	resync_read(&resync, &slice, &view);
}

/* All of it, with entries whose death the worker will not tell of. */
static inline void read_with_secrets(uint64_t found)
{
	const struct resync_slice slice = {.still = true, .found = found, .percent = 100};
	resync_read_begins(&resync, &view);
	resync_read(&resync, &slice, &view);
}

static inline void begin_reading(void)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert_int_eq(step(150 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(50 * MS), RESYNC_READ);
}
