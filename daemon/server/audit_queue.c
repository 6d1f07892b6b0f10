/*
 * What an audit costs is paid by its user: nine times as long as it took, their next one waits, and
 * longer after failures, which are forgotten one by one as time passes. A verdict in between forgives
 * nothing, for whoever makes the helper fail can also have it succeed. Users without failures wait
 * for the others' audits CALM_REST_MS at most; so all users with failures together keep the helper
 * for a tenth of the time, and each one without for a tenth.
 *
 * A turn is a few audits, since each change of users takes a new helper.
 */
#include "config.h"
#include "server/audit_queue.h"
#include <stdlib.h>
#include "base/alloc.h"
#include "server/session.h"

#define REST	       9u
#define CALM_REST_MS   1000u
#define FIRST_PAUSE_MS 100u
#define LAST_PAUSE_MS  300000u
#define MOST_FAILURES  12u /* the pause grows no more */
#define FORGET_MS      300000u
#define TURN	       8u
#define NS_PER_MS      UINT64_C(1000000)
#define SLOW_MS	       1000u /* as bad as a failure */

struct audit_user {
	TAILQ_ENTRY(audit_user) next;
	uid_t uid;
	STAILQ_HEAD(, audit_job) waiting; /* owns */
	uint32_t count, taken;		  /* waiting; of this turn */
	uint64_t next_ms;		  /* not before */
	uint32_t failures;		  /* less one for each FORGET_MS since */
	uint64_t since_ms;
};

void audit_queue_init(struct audit_queue *queue)
{
	*queue = (struct audit_queue){0};
	TAILQ_INIT(&queue->users);
}

static void free_user(struct audit_queue *queue, struct audit_user *user)
{
	TAILQ_REMOVE(&queue->users, user, next);
	queue->user_count--;
	free(user);
}

static struct audit_job *remove_first(struct audit_queue *queue, struct audit_user *user)
{
	struct audit_job *job = STAILQ_FIRST(&user->waiting);
	STAILQ_REMOVE_HEAD(&user->waiting, next);
	user->count--;
	queue->count--;
	return job;
}

void audit_queue_deinit(struct audit_queue *queue)
{
	struct audit_user *user;
	while ((user = TAILQ_FIRST(&queue->users)) != NULL) {
		while (user->count > 0)
			audit_queue_give_up(remove_first(queue, user), SESSION_AUDIT_HELPER);
		free_user(queue, user);
	}
}

static struct audit_user *find(const struct audit_queue *queue, uid_t uid)
{
	struct audit_user *user;
	TAILQ_FOREACH (user, &queue->users, next)
		if (user->uid == uid)
			return user;
	return NULL;
}

static void forgive(struct audit_user *user, uint64_t now_ms)
{
	uint64_t steps = (now_ms - user->since_ms) / FORGET_MS;
	user->failures -= steps < user->failures ? (uint32_t)steps : user->failures;
	user->since_ms += steps * FORGET_MS;
}

/* Makes room for one more: those of whom nothing is to be remembered go, and at the bound the one
 * who pays the least. One has nothing waiting, since there are more users than items. */
static void forget_users(struct audit_queue *queue, uint64_t now_ms)
{
	struct audit_user *user, *next, *least = NULL;
	for (user = TAILQ_FIRST(&queue->users); user != NULL; user = next) {
		next = TAILQ_NEXT(user, next);
		forgive(user, now_ms);
		if (user->count > 0)
			continue;
		if (user->failures == 0 && user->next_ms <= now_ms)
			free_user(queue, user);
		else if (least == NULL || user->next_ms < least->next_ms)
			least = user;
	}
	if (queue->user_count >= AUDIT_QUEUE_USERS)
		free_user(queue, least);
}

static struct audit_user *find_or_add(struct audit_queue *queue, uid_t uid, uint64_t now_ms)
{
	struct audit_user *user = find(queue, uid);
	if (user != NULL) {
		forgive(user, now_ms);
		return user;
	}
	forget_users(queue, now_ms);
	user = alloc_zeroed(1, sizeof *user);
	user->uid = uid;
	user->since_ms = now_ms;
	STAILQ_INIT(&user->waiting);
	TAILQ_INSERT_TAIL(&queue->users, user, next);
	queue->user_count++;
	return user;
}

static struct audit_user *find_heaviest(const struct audit_queue *queue)
{
	struct audit_user *user, *heaviest = TAILQ_FIRST(&queue->users);
	TAILQ_FOREACH (user, &queue->users, next)
		if (user->count > heaviest->count)
			heaviest = user;
	return heaviest;
}

bool audit_queue_has_room(const struct audit_queue *queue, const struct session *session)
{
	const struct audit_user *user = find(queue, session_facts(session)->uid);
	uint32_t users = user != NULL ? user->count : 0, its = 0;
	const struct audit_job *job;
	if (user != NULL)
		STAILQ_FOREACH (job, &user->waiting, next)
			its += job->session == session;
	return users < AUDIT_QUEUE_PER_USER && its < AUDIT_QUEUE_PER_WORKER &&
	       (queue->count < AUDIT_QUEUE_ITEMS || users + 1 < find_heaviest(queue)->count);
}

bool audit_queue_add(struct audit_queue *queue, struct session *session,
	struct session_audit_item *item, uint64_t now_ms)
{
	if (!audit_queue_has_room(queue, session))
		return false;
	if (queue->count == AUDIT_QUEUE_ITEMS)
		audit_queue_give_up(remove_first(queue, find_heaviest(queue)), SESSION_AUDIT_BUSY);
	struct audit_user *user = find_or_add(queue, session_facts(session)->uid, now_ms);
	struct audit_job *job = alloc_zeroed(1, sizeof *job);
	job->session = session_ref(session);
	job->item = item;
	job->uid = user->uid;
	STAILQ_INSERT_TAIL(&user->waiting, job, next);
	user->count++;
	queue->count++;
	return true;
}

static uint64_t due_ms(const struct audit_queue *queue, const struct audit_user *user)
{
	uint64_t rest = user->failures > 0 ? queue->rest_until_ms : queue->calm_until_ms;
	return user->next_ms > rest ? user->next_ms : rest;
}

uint64_t audit_queue_due_ms(const struct audit_queue *queue)
{
	const struct audit_user *user;
	uint64_t due = UINT64_MAX;
	TAILQ_FOREACH (user, &queue->users, next)
		if (user->count > 0 && due_ms(queue, user) < due)
			due = due_ms(queue, user);
	return due;
}

static void end_turn(struct audit_queue *queue, struct audit_user *user)
{
	user->taken = 0;
	TAILQ_REMOVE(&queue->users, user, next);
	TAILQ_INSERT_TAIL(&queue->users, user, next);
}

struct audit_job *audit_queue_take(struct audit_queue *queue, uint64_t now_ms)
{
	struct audit_user *user;
	TAILQ_FOREACH (user, &queue->users, next)
		if (user->count > 0 && due_ms(queue, user) <= now_ms)
			break;
	if (user == NULL)
		return NULL;
	struct audit_job *job = remove_first(queue, user);
	if (++user->taken == TURN || user->count == 0)
		end_turn(queue, user);
	return job;
}

static uint64_t pause_ms(uint32_t failures)
{
	uint64_t pause = (uint64_t)FIRST_PAUSE_MS << (failures - 1);
	return pause < LAST_PAUSE_MS ? pause : LAST_PAUSE_MS;
}

static void raise_to(uint64_t *value, uint64_t least)
{
	if (*value < least)
		*value = least;
}

void audit_queue_charge(
	struct audit_queue *queue, uid_t uid, uint64_t now_ms, uint64_t took_ns, bool failed)
{
	struct audit_user *user = find_or_add(queue, uid, now_ms);
	uint64_t rest = took_ns * REST / NS_PER_MS;
	raise_to(&user->next_ms, now_ms + rest);
	raise_to(&queue->rest_until_ms, now_ms + rest);
	raise_to(&queue->calm_until_ms, now_ms + (rest < CALM_REST_MS ? rest : CALM_REST_MS));
	if (!failed && took_ns < SLOW_MS * NS_PER_MS)
		return;
	if (user->failures == 0)
		user->since_ms = now_ms;
	if (user->failures < MOST_FAILURES)
		user->failures++;
	raise_to(&user->next_ms, now_ms + pause_ms(user->failures));
	end_turn(queue, user);
}

void audit_queue_pause(struct audit_queue *queue, uint64_t until_ms)
{
	raise_to(&queue->rest_until_ms, until_ms);
	raise_to(&queue->calm_until_ms, until_ms);
}

void audit_queue_forget(struct audit_queue *queue, const struct session *session)
{
	struct audit_user *user;
	TAILQ_FOREACH (user, &queue->users, next)
		for (uint32_t left = user->count; left > 0; left--) {
			struct audit_job *job = remove_first(queue, user);
			if (job->session == session) {
				audit_queue_give_up(job, SESSION_AUDIT_BUSY);
				continue;
			}
			STAILQ_INSERT_TAIL(&user->waiting, job, next);
			user->count++;
			queue->count++;
		}
}

void audit_queue_give_up(struct audit_job *job, enum session_audit_reason reason)
{
	session_audit_given_up(session_audit(job->session), TAKE(job->item), reason);
	audit_queue_free_job(job);
}

void audit_queue_free_job(struct audit_job *job)
{
	session_unref(job->session);
	free(job);
}
