/*
 * The stacks that wait for the auditor, and whose turn it is: users take turns, so that nobody's
 * stacks wait for the flood, or for the failures, of another user's. Bounded in number, and with it
 * in memory, for all of an item lies in one piece of fixed size. Owns what waits. Times are the
 * caller's, in ms of one clock that does not go back. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include "server/session_audit.h"

struct audit_user;
struct session;

#define AUDIT_QUEUE_ITEMS      64u
#define AUDIT_QUEUE_PER_USER   32u
#define AUDIT_QUEUE_PER_WORKER 16u
#define AUDIT_QUEUE_USERS      128u /* remembered, most of them for what their audits have cost */

struct audit_job {
	STAILQ_ENTRY(audit_job) next;
	struct session *session;	 /* owns a reference */
	struct session_audit_item *item; /* owns */
	uid_t uid;			 /* of the session when it came */
	/* the auditor's: of the item's modules' files; 0: none */
	uint32_t keys[SESSION_AUDIT_MODULES];
	uint32_t unopened[SESSION_AUDIT_MODULES];
	uint32_t unopened_count;
	bool told_again;
};

struct audit_queue {
	TAILQ_HEAD(audit_users, audit_user) users; /* owns; the next one's turn first */
	uint32_t user_count, count;
	uint64_t rest_until_ms; /* for users whose audits have failed */
	uint64_t calm_until_ms; /* for the others */
};

void audit_queue_init(struct audit_queue *queue);
/* Gives up what waits. */
void audit_queue_deinit(struct audit_queue *queue);

bool audit_queue_has_room(const struct audit_queue *queue, const struct session *session);
/* Takes the item over, and a reference to the session. If the queue is full, an item of the user who
 * has most of them is given up for one of a user who has fewer. False: there is no room. */
bool audit_queue_add(struct audit_queue *queue, struct session *session,
	struct session_audit_item *item, uint64_t now_ms);
/* When something may be taken; UINT64_MAX: nothing waits. */
uint64_t audit_queue_due_ms(const struct audit_queue *queue);
/* The next one, owned by the caller, who ends it by one of the last two below; NULL: none is due. */
struct audit_job *audit_queue_take(struct audit_queue *queue, uint64_t now_ms);
/* An audit of this user's has kept the auditor so long; `failed`: in vain. */
void audit_queue_charge(
	struct audit_queue *queue, uid_t uid, uint64_t now_ms, uint64_t took_ns, bool failed);
/* Nothing is due before, for no fault of any user's. */
void audit_queue_pause(struct audit_queue *queue, uint64_t until_ms);
/* Gives up what waits of this session. */
void audit_queue_forget(struct audit_queue *queue, const struct session *session);

/* Tells its session that there is no verdict, and frees it. */
void audit_queue_give_up(struct audit_job *job, enum session_audit_reason reason);
/* After its item has been handed over. */
void audit_queue_free_job(struct audit_job *job);
