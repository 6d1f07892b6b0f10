/*
 * Why the sweep is safe. What the model held at the request (a round end) was announced before the
 * worker's walk began, or before our reading did. If it still lived when its slot was looked at, it
 * was told, or read; so once END says how many were told and as many have come, what was not named
 * is dead. A DEATH that is on its way may be drained before or after; it names an id that is gone.
 *
 * Why the copy is confirmed. From the round that ends with the request, before it read its first
 * head, to the sweep every birth and death was told, or counted as a loss: without such a loss and
 * without damage the copy is the map. (A death that found no room during that round may belong to a
 * birth that the round did not see any more. That is learned after the request and never swept.) A reading tells
 * less, since it cannot see what happens between its slices. It sweeps only if nothing happened; the
 * copy is the map then. It stays so if all it found will have its death told (the digest, a sum over
 * what has been told, agrees in that case only); otherwise it holds until the worker's counters move.
 */
#include "server/resync.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "spprof/wire/segment.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

#define IDLE_NS	     (200 * MS) /* without progress: the worker sleeps */
#define STALLED_NS   (5 * S)	/* begun and not ended: ask anew */
#define PAUSE_MIN_NS (1 * S)
#define PAUSE_MAX_NS (60 * S)
#define HURRY_NS     (1 * S)
#define SOON_NS	     (200 * MS) /* until what was short may be there again */
#define READ_SHARE   20u	/* at most one part in so many of the time goes into reading */

static uint64_t longer(uint64_t pause_ns)
{
	if (pause_ns == 0)
		return PAUSE_MIN_NS;
	return pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
}

/* However it ended: a worker whose memory takes long to read is read the more seldom. */
static void end_reading(struct resync *resync, uint64_t now_ns)
{
	if (resync->read_began_ns != 0)
		resync->read_rest_ns = now_ns + READ_SHARE * (now_ns - resync->read_began_ns);
	resync->read_began_ns = 0;
	resync->reading = false;
}

static uint32_t next_epoch(uint32_t epoch)
{
	return epoch >= WIRE_EPOCH_MAX ? 1 : epoch + 1;
}

void resync_init(struct resync *resync, uint32_t asked_before, enum resync_reason reason,
	const struct resync_view *view)
{
	*resync = (struct resync){
		.phase = reason == RESYNC_NO_REASON ? RESYNC_CONFIRMED : RESYNC_WANTED,
		.reason = reason,
		/* What an earlier daemon asked for has been walked, perhaps in part. */
		.epoch = asked_before,
		.due_ns = view->now_ns,
		.progress_ns = view->now_ns,
		.moved_ns = view->now_ns,
		.asked = *view,
	};
}

void resync_hear_live(struct resync *resync, uint32_t epoch)
{
	if (epoch == resync->epoch && resync->lives < UINT32_MAX)
		resync->lives++;
}

void resync_hear_end(struct resync *resync, uint32_t epoch, uint32_t lives)
{
	if (epoch != resync->epoch)
		return;
	resync->end = true;
	resync->end_lives = lives;
}

void resync_want(struct resync *resync, enum resync_reason reason, uint64_t now_ns)
{
	if (resync->phase != RESYNC_CONFIRMED)
		return;
	/* The first request comes at once; what comes again and again comes ever more seldom. */
	if (now_ns - resync->settled_ns >= PAUSE_MAX_NS)
		resync->pause_ns = 0;
	resync->phase = RESYNC_WANTED;
	resync->reason = reason;
	resync->due_ns = now_ns + resync->pause_ns;
	resync->wanted_round = resync->round;
	resync->progress_ns = now_ns;
}

void resync_look(struct resync *resync, const struct resync_view *view)
{
	if (view->losses != resync->asked.losses)
		resync_want(resync, RESYNC_LOSS, view->now_ns);
	else if (view->damage != resync->asked.damage)
		resync_want(resync, RESYNC_DAMAGE, view->now_ns);
}

bool resync_holds(const struct resync *resync, const struct resync_view *view)
{
	if (resync->phase == RESYNC_CONFIRMED)
		return true;
	return resync->phase == RESYNC_ASKED && resync->read_exactly &&
	       view->events == resync->read_events && view->losses == resync->asked.losses &&
	       view->damage == resync->asked.damage;
}

void resync_hurry(struct resync *resync, uint64_t now_ns)
{
	/* Not prolonged while it lasts: whoever waits is answered in the end, however many come. */
	if (now_ns >= resync->hurry_until_ns)
		resync->hurry_until_ns = now_ns + HURRY_NS;
}

static bool hurries(const struct resync *resync, uint64_t now_ns)
{
	return now_ns < resync->hurry_until_ns;
}

/* The pause between requests is for workers that lose again and again. One that has fallen asleep loses
 * nothing, and somebody waits. */
static bool is_due(const struct resync *resync, uint64_t now_ns)
{
	bool asleep = hurries(resync, now_ns) && now_ns - resync->moved_ns >= IDLE_NS;

	return resync->phase == RESYNC_WANTED && (now_ns >= resync->due_ns || asleep);
}

/* Only after a round that began when the reason was known: what was lost before that round counts
 * against the request. A new daemon's first round is one, too: without it the rings may hold a birth
 * whose death an earlier daemon took. */
static enum resync_step ask(struct resync *resync, const struct resync_view *view)
{
	if (!is_due(resync, view->now_ns) || view->rounds <= resync->wanted_round)
		return RESYNC_NOTHING;
	resync->phase = RESYNC_ASKED;
	resync->epoch = next_epoch(resync->epoch);
	resync->pause_ns = longer(resync->pause_ns);
	resync->asked = *view;
	resync->asked.losses = view->losses_before;
	resync->asked.damage = view->damage_before;
	resync->lives = resync->end_lives = 0;
	resync->end = false;
	resync->progress = 0;
	resync->progress_ns = view->now_ns;
	end_reading(resync, view->now_ns);
	resync->read_percent = 0;
	resync->read_exactly = false;
	resync->read_after_ns = 0;
	resync->read_pause_ns = 0;
	resync->requests++;
	return RESYNC_ASK;
}

static void ask_anew(struct resync *resync, uint64_t now_ns)
{
	resync->phase = RESYNC_WANTED;
	resync->due_ns = now_ns + resync->pause_ns;
	resync->wanted_round = resync->round;
	end_reading(resync, now_ns);
}

static void wait_for_next_reading(struct resync *resync, uint64_t now_ns)
{
	end_reading(resync, now_ns);
	resync->read_pause_ns = longer(resync->read_pause_ns);
	resync->read_after_ns = now_ns + resync->read_pause_ns;
}

static void note_progress(struct resync *resync, const struct resync_view *view)
{
	uint64_t progress = view->slots - resync->asked.slots + resync->lives;
	if (progress == resync->progress)
		return;
	resync->progress = progress;
	resync->progress_ns = view->now_ns;
	if (resync->reading) /* it is awake and tells it itself */
		wait_for_next_reading(resync, view->now_ns);
}

static bool may_read(const struct resync *resync, uint64_t now_ns)
{
	bool idle = now_ns - resync->progress_ns >= IDLE_NS ||
		    (hurries(resync, now_ns) && resync->progress == 0);
	return idle && now_ns >= resync->read_after_ns && now_ns >= resync->read_rest_ns;
}

static enum resync_step go_on(struct resync *resync, const struct resync_view *view)
{
	note_progress(resync, view);
	if (resync->end && resync->lives == resync->end_lives) {
		resync->phase = RESYNC_TOLD;
		resync->settled_round = view->rounds;
		end_reading(resync, view->now_ns);
		return RESYNC_NOTHING;
	}
	if (resync->progress > 0 && view->now_ns - resync->progress_ns >= STALLED_NS &&
		!resync->reading) {
		ask_anew(resync, view->now_ns);
		return RESYNC_NOTHING;
	}
	if (!resync->reading) {
		if (resync_holds(resync, view) || !may_read(resync, view->now_ns))
			return RESYNC_NOTHING;
		resync->reading = true;
		resync->read_exactly = false;
		resync->read_percent = 0;
	}
	return RESYNC_READ;
}

enum resync_step resync_round_ended(struct resync *resync, const struct resync_view *view)
{
	resync->round = view->rounds;
	if (view->events != resync->moved_events) {
		resync->moved_events = view->events;
		resync->moved_ns = view->now_ns;
	}
	resync_look(resync, view);
	switch (resync->phase) {
	case RESYNC_WANTED:
		return ask(resync, view);
	case RESYNC_ASKED:
		return go_on(resync, view);
	case RESYNC_TOLD:
	case RESYNC_HAS_READ:
		return view->rounds > resync->settled_round ? RESYNC_SWEEP : RESYNC_NOTHING;
	default:
		return RESYNC_NOTHING;
	}
}

void resync_read_begins(struct resync *resync, const struct resync_view *view)
{
	resync->read_began_ns = view->now_ns;
	resync->read_events = view->events;
	resync->readings++;
}

/* Rights do not come back within seconds, nor does a map appear. */
static bool is_lasting(int error)
{
	return error == -EACCES || error == -EPERM || error == -ENOENT || error == -ENOEXEC;
}

static void read_failed(struct resync *resync, int error, uint64_t now_ns)
{
	resync->read_error = error;
	resync->read_errors++;
	if (is_lasting(error))
		resync->read_pause_ns = PAUSE_MAX_NS;
	wait_for_next_reading(resync, now_ns);
}

static void read_later(struct resync *resync, uint64_t now_ns)
{
	end_reading(resync, now_ns);
	resync->read_after_ns = now_ns + SOON_NS;
}

static void has_read(
	struct resync *resync, const struct resync_slice *slice, const struct resync_view *view)
{
	if (!slice->still || view->events != resync->read_events) {
		wait_for_next_reading(resync, view->now_ns);
		return;
	}
	end_reading(resync, view->now_ns);
	resync->read_announced = slice->announced;
	resync->read_found = slice->found;
	resync->phase = RESYNC_HAS_READ;
	resync->settled_round = view->rounds;
}

void resync_read(
	struct resync *resync, const struct resync_slice *slice, const struct resync_view *view)
{
	if (slice->result == RESYNC_READ_WAITS)
		return;
	if (slice->result == RESYNC_READ_LATER) {
		read_later(resync, view->now_ns);
		return;
	}
	if (slice->result < 0) {
		read_failed(resync, slice->result, view->now_ns);
		return;
	}
	resync->read_error = 0;
	if (slice->result == RESYNC_READ_BROKEN) {
		wait_for_next_reading(resync, view->now_ns);
		return;
	}
	resync->read_percent = slice->percent < 100 ? slice->percent : 100;
	if (slice->result == RESYNC_READ_LAST)
		has_read(resync, slice, view);
}

static void settle(struct resync *resync, uint64_t now_ns)
{
	resync->phase = RESYNC_CONFIRMED;
	resync->reason = RESYNC_NO_REASON;
	resync->settled_ns = now_ns;
	resync->confirmations++;
}

void resync_swept(struct resync *resync, const struct resync_view *view)
{
	bool untouched =
		view->losses == resync->asked.losses && view->damage == resync->asked.damage;
	bool read = resync->phase == RESYNC_HAS_READ;
	bool whole = resync->read_announced ? view->equal : resync->read_found == view->live;
	bool exactly = read && whole && view->events == resync->read_events;
	resync->read_exactly = exactly;
	if (untouched && (!read || (exactly && resync->read_announced))) {
		settle(resync, view->now_ns);
	} else if (read && untouched) {
		resync->phase = RESYNC_ASKED;
		wait_for_next_reading(resync, view->now_ns);
	} else {
		ask_anew(resync, view->now_ns);
	}
}

bool resync_needs_round(const struct resync *resync, uint64_t now_ns)
{
	return resync->phase == RESYNC_TOLD || resync->phase == RESYNC_HAS_READ ||
	       is_due(resync, now_ns);
}

bool resync_nearly_there(const struct resync *resync, uint64_t now_ns)
{
	if (!hurries(resync, now_ns))
		return false;
	return resync->reading || resync_needs_round(resync, now_ns) ||
	       (resync->phase == RESYNC_ASKED && may_read(resync, now_ns));
}

unsigned resync_percent(const struct resync *resync, const struct resync_view *view)
{
	if (resync->phase == RESYNC_WANTED)
		return 0;
	if (resync->phase != RESYNC_ASKED)
		return 100;
	uint64_t slots = view->slots - resync->asked.slots;
	double share = view->all_slots > 0 ? (double)slots / (double)view->all_slots : 0;
	unsigned told = share < 1 ? (unsigned)(100 * share) : 99;
	return told > resync->read_percent ? told : resync->read_percent;
}

static void format_time(uint64_t unix_ns, char *text, size_t size)
{
	time_t seconds = (time_t)(unix_ns / S);
	struct tm tm;
	if (gmtime_r(&seconds, &tm) == NULL ||
		strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		text[0] = '\0';
}

static void describe_error(int error, char *text, size_t size)
{
	switch (error) {
	case 0:
		snprintf(text, size, ", and its memory could not be read at rest");
		break;
	case -EACCES:
	case -EPERM:
		snprintf(text, size, " and the kernel does not let spprofd read its memory (%s)",
			strerror(-error));
		break;
	case -ETIMEDOUT:
		snprintf(text, size, " and its memory took too long to be read");
		break;
	case -EPIPE:
		snprintf(text, size, " and spprof-map-reader ended while it read its memory");
		break;
	case -ENOEXEC:
		snprintf(text, size,
			" and spprof-map-reader, which reads memory, cannot be started");
		break;
	default:
		snprintf(text, size, " and its memory could not be read (%s)", strerror(-error));
	}
}

static void describe_idle(const struct resync *resync, uint64_t unix_ns, char *text, size_t size)
{
	char since[40], why[100];
	format_time(unix_ns, since, sizeof since);
	if (resync->read_error == -ENOENT)
		snprintf(why, sizeof why, " and has to wake up to tell it again");
	else
		describe_error(resync->read_error, why, sizeof why);
	snprintf(text, size, "; it is idle since %s%s", since, why);
}

void resync_describe(const struct resync *resync, const struct resync_view *view, uint64_t unix_ns,
	char *text, size_t size)
{
	unsigned percent = resync_percent(resync, view);
	text[0] = '\0';
	if (resync->phase == RESYNC_WANTED)
		snprintf(text, size, "; to be told again");
	else if (resync->reading && resync->read_began_ns == 0)
		snprintf(text, size, "; its memory is to be read");
	else if (resync->reading)
		snprintf(text, size, "; its memory is being read: %u %% of the map", percent);
	else if (resync->phase == RESYNC_ASKED && resync->read_pause_ns > 0)
		describe_idle(resync, unix_ns, text, size);
	else if (resync->phase != RESYNC_CONFIRMED)
		snprintf(text, size, "; being told again: %u %% of the map", percent);
}
