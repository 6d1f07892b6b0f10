/*
 * One step of a thread is one access to memory that others can see; what only its own registers see
 * is done along with it. Stores enter the thread's buffer, and each becomes visible by a step of
 * its own.
 */
#include "model/announce_model.h"
#include <stdio.h>
#include <string.h>
#include "model/announce_daemon.h"
#include "model/announce_step.h"

static void begin_op(struct step *s)
{
	static const uint8_t entry[] = {
		[ANNOUNCE_MALLOC] = REAL_MALLOC,
		[ANNOUNCE_MALLOC_LOST] = REAL_MALLOC,
		[ANNOUNCE_FREE] = WAIT_POINTER,
		[ANNOUNCE_FREE_EARLY] = WAIT_POINTER,
		[ANNOUNCE_REALLOC] = WAIT_POINTER,
		[ANNOUNCE_LATE] = LATE_SLOT,
		[ANNOUNCE_WALK] = WALK_TURN,
	};

	if (state_script_ended(s->config, s->thread, step_self(s)->op))
		return;
	step_clear_registers(step_self(s));
	step_go(s, entry[step_op(s)]);
	step_done(s, "begin");
}

/* Read-modify-writes wait for the thread's own stores. */
static bool needs_empty_buffer(uint8_t pc)
{
	switch (pc) {
	case REAL_MALLOC:
	case RESERVE:
	case DRAW:
	case ANN_LEASE:
	case ANN_EARLY_MARK:
	case ANN_MARK:
	case RET_CLAIM:
	case RET_TAKE_MARK:
	case RET_CLEAR_MARK:
	case RET_LEASE:
	case ENTER_LIMBO:
	case REAL_REALLOC:
	case WALK_BEGIN:
	case WALK_CLAIM:
		return true;
	default:
		return false;
	}
}

static void step_thread(struct step *s)
{
	static void (*const steps[])(struct step *) = {
		[NEXT_OP] = begin_op,
		[REAL_MALLOC] = step_real_malloc,
		[PROBE] = step_probe,
		[RESERVE] = step_reserve,
		[DRAW] = step_draw,
		[FILL] = step_fill,
		[RETURN_POINTER] = step_return_pointer,
		[ANN_ID] = step_copy_entry,
		[ANN_KEY] = step_copy_entry,
		[ANN_LATE_ID] = step_copy_entry,
		[ANN_PAYLOAD] = step_copy_entry,
		[ANN_KEY_AGAIN] = step_copy_entry,
		[ANN_ID_AGAIN] = step_copy_entry,
		[ANN_LEASE] = step_lease_for_birth,
		[ANN_ROOM] = step_room_for_birth,
		[ANN_EARLY_MARK] = step_announce,
		[ANN_WRITE] = step_announce,
		[ANN_MARK] = step_announce,
		[ANN_UNLEASE] = step_announce,
		[RET_CLAIM] = step_retire,
		[RET_TAKE_MARK] = step_retire,
		[RET_CLEAR_MARK] = step_retire,
		[RET_LEASE] = step_lease_for_death,
		[RET_ROOM] = step_room_for_death,
		[RET_WRITE] = step_retire,
		[WAIT_POINTER] = step_wait_pointer,
		[LOOK_UP] = step_look_up,
		[REAL_FREE] = step_real_free,
		[ENTER_LIMBO] = step_enter_limbo,
		[REAL_REALLOC] = step_real_realloc,
		[REALLOC_FAILED] = step_realloc_failed,
		[REALLOC_DONE] = step_realloc_done,
		[LATE_SLOT] = step_late,
		[LATE_NEXT] = step_late,
		[WALK_TURN] = step_walk,
		[WALK_BEGIN] = step_walk,
		[WALK_ID] = step_walk,
		[WALK_KEY] = step_walk,
		[WALK_PAYLOAD] = step_walk,
		[WALK_ID_AGAIN] = step_walk,
		[WALK_CLAIM] = step_walk,
		[WALK_STORE] = step_walk,
	};
	const struct state_thread *t = step_self(s);

	if (!t->killed && (!t->buffer.count || !needs_empty_buffer(t->pc)))
		steps[t->pc](s);
}

static void step_daemon(struct step *s)
{
	const struct state before = s->state;
	const struct state_daemon *d = &s->state.daemon;
	char label[48];
	unsigned ring = d->draining;
	unsigned drained = announce_daemon_drain(&s->state, s->config);

	snprintf(label, sizeof label, "daemon: ring %u, %u records, live %#04x%s%s", ring % 10u,
		drained % 10u, d->live, d->draining == 0 ? ", round" : "",
		d->resync == STATE_SWEPT ? " *" : "");
	explore_reached(s->search, &s->state, label);
	s->state = before;
	if (announce_daemon_request(&s->state, s->config))
		explore_reached(s->search, &s->state, "daemon: asks for a resync");
	s->state = before;
	if (announce_daemon_restart(&s->state, s->config))
		explore_reached(s->search, &s->state, "daemon: starts anew");
}

static void step_commit(struct step *s)
{
	if (!step_self(s)->buffer.count)
		return;
	state_commit(&s->state, step_self(s));
	step_done(s, "a store becomes visible");
}

/* For ever, at any instruction. Later stores than those it has made nobody will see, and until
 * those are visible it might as well still run. */
static void step_kill(struct step *s)
{
	const struct state_thread *t = step_self(s);

	if (s->state.kills == s->config->kills || t->killed || t->buffer.count ||
		state_script_ended(s->config, s->thread, t->op))
		return;
	step_self(s)->killed = 1;
	s->state.kills++;
	step_done(s, "is killed");
}

/* Whether what the thread does next goes into its own store buffer alone. Nobody can tell when it
 * does that, so such a step is taken at once and no other one beside it: fewer states, and none
 * that breaks anything is missed. */
static bool is_private(const struct step *s)
{
	const struct state_thread *t = &s->state.threads[s->thread];

	if (s->config->kills || t->buffer.count > STORE_BUFFER_SIZE / 2)
		return false;
	switch (t->pc) {
	case NEXT_OP:
		return !state_script_ended(s->config, s->thread, t->op);
	case FILL:
		return step_op(s) != ANNOUNCE_MALLOC_LOST;
	case RETURN_POINTER:
	case ANN_UNLEASE:
	case RET_WRITE:
	case REALLOC_FAILED:
		return true;
	default:
		return false;
	}
}

static bool step_private(struct step *s, const void *state)
{
	for (s->thread = 0; s->thread < ANNOUNCE_THREADS; s->thread++) {
		memcpy(&s->state, state, sizeof s->state);
		if (!is_private(s))
			continue;
		step_thread(s);
		return true;
	}
	return false;
}

static void step(struct explore *search, const void *state, const void *config)
{
	static void (*const steps[])(struct step *) = {step_thread, step_commit, step_kill};
	struct step s = {.search = search, .config = config};

	if (step_private(&s, state))
		return;
	for (s.thread = 0; s.thread < ANNOUNCE_THREADS; s.thread++)
		for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
			memcpy(&s.state, state, sizeof s.state);
			steps[i](&s);
		}
	memcpy(&s.state, state, sizeof s.state);
	step_daemon(&s);
}

static const char *broken(const void *bytes, const void *config)
{
	struct state state;

	memcpy(&state, bytes, sizeof state);
	return state_broken(&state, config);
}

void announce_model_run(
	const struct announce_config *config, uint64_t max_states, struct explore_result *result)
{
	struct state initial;

	state_init(&initial, config);
	const struct explore_system system = {
		.state_size = sizeof initial,
		.step = step,
		.broken = broken,
		.config = config,
	};
	explore_run(&system, &initial, max_states, result);
}
