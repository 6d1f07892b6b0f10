/*
 * The stacks that wait for the auditor: a bounded number, of few per worker and user. Owns them
 * while they wait. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "server/session_audit.h"

struct session;

struct audit_job {
	STAILQ_ENTRY(audit_job) next;
	struct session *session;	 /* owns a reference */
	struct session_audit_item *item; /* owns */
	/* the auditor's: of the item's modules' files; 0: none */
	uint32_t keys[SESSION_AUDIT_MODULES];
	uint32_t unopened[SESSION_AUDIT_MODULES];
	uint32_t unopened_count;
	bool told_again;
};

struct audit_queue {
	STAILQ_HEAD(, audit_job) waiting;
	uint32_t count;
};

void audit_queue_init(struct audit_queue *queue);
/* Gives up what waits. */
void audit_queue_deinit(struct audit_queue *queue);

bool audit_queue_has_room(const struct audit_queue *queue, const struct session *session);
/* There is room. Takes the item over, and a reference to the session. */
void audit_queue_add(
	struct audit_queue *queue, struct session *session, struct session_audit_item *item);
/* The next one, owned by the caller, who ends it by the two below; NULL: none waits. */
struct audit_job *audit_queue_take(struct audit_queue *queue);

/* Tells its session that there is no verdict, and frees it. */
void audit_queue_give_up(struct audit_job *job, enum session_audit_reason reason);
/* After its item has been handed over. */
void audit_queue_free_job(struct audit_job *job);
