#include "config.h"
#include "server/audit_queue.h"
#include <stdlib.h>
#include "base/alloc.h"
#include "server/session.h"

#define MAX_WAITING	64u
#define MAX_PER_USER	48u
#define MAX_PER_SESSION 32u

void audit_queue_init(struct audit_queue *queue)
{
	STAILQ_INIT(&queue->waiting);
	queue->count = 0;
}

void audit_queue_deinit(struct audit_queue *queue)
{
	struct audit_job *job;
	while ((job = audit_queue_take(queue)) != NULL)
		audit_queue_give_up(job, SESSION_AUDIT_HELPER);
}

bool audit_queue_has_room(const struct audit_queue *queue, const struct session *session)
{
	const struct audit_job *job;
	uint32_t users = 0, its = 0;
	uid_t uid = session_facts(session)->uid;
	STAILQ_FOREACH (job, &queue->waiting, next) {
		users += session_facts(job->session)->uid == uid;
		its += job->session == session;
	}
	return queue->count < MAX_WAITING && users < MAX_PER_USER && its < MAX_PER_SESSION;
}

void audit_queue_add(
	struct audit_queue *queue, struct session *session, struct session_audit_item *item)
{
	struct audit_job *job = alloc_zeroed(1, sizeof *job);
	job->session = session_ref(session);
	job->item = item;
	STAILQ_INSERT_TAIL(&queue->waiting, job, next);
	queue->count++;
}

struct audit_job *audit_queue_take(struct audit_queue *queue)
{
	struct audit_job *job = STAILQ_FIRST(&queue->waiting);
	if (job == NULL)
		return NULL;
	STAILQ_REMOVE_HEAD(&queue->waiting, next);
	queue->count--;
	return job;
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
