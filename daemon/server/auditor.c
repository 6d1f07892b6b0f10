/*
 * The current audit goes through these states:
 *
 *   OPENING  files that have not been opened yet are, on a pool thread
 *   STARTING the helper has not said yet that it is ready
 *   TELLING  the helper is told of files that it does not know; it answers one by one
 *   ASKED    the stack has been sent
 *   RESTING  no current one: audit_queue says when the next may begin
 *
 * Each of the first two has a deadline, and the next two together: a file may be as slow as all. From
 * STARTING on the time counts as the user's.
 *
 * The helper knows files by the symbol client's keys. It closes what it used least recently, and
 * says so by ESTALE: then it is told everything again, once.
 *
 * A helper serves one user. libunwind was not made for hostile tables: one that a user's file has
 * taken over must see no other user's stack.
 */
#include "config.h"
#include "server/auditor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include "base/alloc.h"
#include "base/log.h"
#include "server/audit_queue.h"
#include "server/audit_request.h"
#include "server/complaint.h"
#include "server/module_files.h"
#include "server/module_map.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "server/symbol_client.h"
#include "server/symbol_helper.h"

#define DEFAULT_STALL_MS    5000u
#define DEFAULT_IDLE_MS	    30000u
#define NO_HELPER_PAUSE_MS  60000u
#define MAX_KNOWN	    56u /* files that the helper certainly has room for */
#define MAX_MAPPINGS	    SESSION_AUDIT_MODULES
#define HELPERS_THAT_LINGER 16u

_Static_assert((int)SESSION_AUDIT_LONGER == SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__LONGER,
	"verdicts travel as they are");

enum state { RESTING, OPENING, STARTING, TELLING, ASKED };

struct auditor {
	uv_loop_t *loop; /* borrows */
	uv_timer_t timer;
	struct symbol_client *client; /* borrows */
	struct module_files *files;   /* borrows */
	char *program;		      /* owns */
	uint32_t stall_ms, idle_ms;
	struct audit_queue queue;
	struct audit_job *current; /* owns; NULL while RESTING */
	enum state state;
	uint64_t opening;     /* module_files's handle; 0: none */
	uint64_t deadline_ms; /* of what is under way */
	uint64_t began_ns;    /* when a helper was wanted for the current one; 0: not yet */
	uint64_t idle_at_ms;
	struct symbol_helper *helper; /* owns; NULL: not running */
	uid_t helper_uid;	      /* whose stacks it gets */
	bool ready;
	uint32_t known[MAX_KNOWN]; /* files that the helper has */
	uint32_t known_count;
	uint32_t telling; /* position among the current one's modules */
	uint32_t number;  /* of the current one */
	struct complaint complaint;
	struct auditor_stats stats;
};

static void on_timer(uv_timer_t *timer);

static uint64_t now_ms(const struct auditor *auditor)
{
	return uv_now(auditor->loop);
}

static void set_timer(struct auditor *auditor)
{
	uint64_t now = now_ms(auditor), due = audit_queue_due_ms(&auditor->queue);
	if (auditor->state != RESTING)
		due = auditor->deadline_ms;
	else if (auditor->helper != NULL && auditor->idle_at_ms < due)
		due = auditor->idle_at_ms;
	if (due == UINT64_MAX)
		uv_timer_stop(&auditor->timer);
	else
		uv_timer_start(&auditor->timer, on_timer, due > now ? due - now : 1, 0);
}

/* What has been begun is to be done by then. */
static void set_deadline(struct auditor *auditor)
{
	auditor->deadline_ms = now_ms(auditor) + auditor->stall_ms;
}

/* The clock is the wall's, for the helper may have been waiting for a slow file. */
static void rest(struct auditor *auditor, uid_t uid, bool failed)
{
	uint64_t took_ns = auditor->began_ns > 0 ? uv_hrtime() - auditor->began_ns : 0;
	audit_queue_charge(&auditor->queue, uid, now_ms(auditor), took_ns, failed);
	auditor->began_ns = 0;
	auditor->state = RESTING;
	auditor->idle_at_ms = now_ms(auditor) + auditor->idle_ms;
	set_timer(auditor);
}

static void give_up(struct auditor *auditor, enum session_audit_reason reason, bool failed)
{
	uid_t uid = auditor->current->uid;
	audit_queue_give_up(TAKE(auditor->current), reason);
	rest(auditor, uid, failed);
}

static void forget_helper(struct auditor *auditor)
{
	auditor->helper = symbol_helper_free(auditor->helper);
	auditor->ready = false;
	auditor->known_count = 0;
}

/* Whatever the reason, the current audit is over, if it has come to the helper: another stack may do
 * better. */
static void lose_helper(struct auditor *auditor, const char *why)
{
	/* A worker's files and stacks can cause it. */
	if (complaint_allowed(&auditor->complaint, uv_hrtime()))
		log_warning("the spprof-symbolizer that audits stacks %s", why);
	forget_helper(auditor);
	auditor->stats.helper_deaths++;
	if (auditor->current != NULL && auditor->state != OPENING)
		give_up(auditor, SESSION_AUDIT_HELPER, true);
	else
		audit_queue_charge(&auditor->queue, auditor->helper_uid, now_ms(auditor), 0, true);
	set_timer(auditor);
}

static void on_end(void *data)
{
	lose_helper(data, "died");
}

static void on_reply(void *data, const Spprof__V1__SymbolizerReply *reply);

static const struct symbol_helper_handlers handlers = {.reply = on_reply, .end = on_end};

static bool start_helper(struct auditor *auditor)
{
	int r = symbol_helper_lingering() >= HELPERS_THAT_LINGER
			? -EBUSY
			: symbol_helper_new(&auditor->helper, auditor->loop, auditor->program,
				  SYMBOL_HELPER_AUDITS, &handlers, auditor);
	if (r == 0)
		auditor->stats.helper_starts++;
	else
		audit_queue_pause(&auditor->queue, now_ms(auditor) + NO_HELPER_PAUSE_MS);
	return r == 0;
}

static bool is_known(const struct auditor *auditor, uint32_t key)
{
	for (uint32_t i = 0; i < auditor->known_count; i++)
		if (auditor->known[i] == key)
			return true;
	return false;
}

/* True: an answer is awaited. */
static bool tell_file(struct auditor *auditor, uint32_t key)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerOpen open = SPPROF__V1__SYMBOLIZER_OPEN__INIT;
	int fd = symbol_client_descriptor(auditor->client, key);
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN;
	request.open = &open;
	return fd >= 0 && symbol_helper_send(auditor->helper, &request, fd) == 0;
}

static void ask(struct auditor *auditor)
{
	struct audit_job *job = auditor->current;
	auditor->number = auditor->number % INT32_MAX + 1;
	auditor->state = ASKED;
	if (audit_request_send(auditor->helper, auditor->number, job->item, job->keys) < 0)
		give_up(auditor, SESSION_AUDIT_HELPER, true);
}

/* Tells of the next file that the helper lacks, or asks. */
static void tell(struct auditor *auditor)
{
	struct audit_job *job = auditor->current;
	auditor->state = TELLING;
	for (; auditor->telling < job->item->module_count; auditor->telling++) {
		uint32_t key = job->keys[auditor->telling];
		if (key == 0 || is_known(auditor, key))
			continue;
		if (tell_file(auditor, key))
			return;
		job->keys[auditor->telling] = 0;
	}
	ask(auditor);
}

static void begin_telling(struct auditor *auditor)
{
	/* What is known must be so for all of the audit. */
	if (auditor->known_count + auditor->current->item->module_count > MAX_KNOWN)
		auditor->known_count = 0;
	auditor->telling = 0;
	tell(auditor);
}

/* From here on there is a deadline for all that the files make of it, however many there are. */
static void on_ready(struct auditor *auditor)
{
	set_deadline(auditor);
	begin_telling(auditor);
}

static void use_helper(struct auditor *auditor)
{
	auditor->began_ns = uv_hrtime();
	auditor->state = STARTING;
	set_deadline(auditor);
	if (auditor->helper_uid != auditor->current->uid)
		forget_helper(auditor);
	auditor->helper_uid = auditor->current->uid;
	if (auditor->helper == NULL && !start_helper(auditor))
		give_up(auditor, SESSION_AUDIT_HELPER, false);
	else if (auditor->ready)
		on_ready(auditor);
}

static void on_opened(const uint32_t *keys, const struct symbol_file *identities, void *data)
{
	struct auditor *auditor = data;
	struct audit_job *job = auditor->current;
	auditor->opening = 0;
	for (uint32_t i = 0; i < job->unopened_count; i++) {
		uint32_t at = job->unopened[i];
		job->keys[at] = keys[i];
		if (keys[i] != 0)
			*session_file(job->session, job->item->modules[at].module) = identities[i];
	}
	use_helper(auditor);
	set_timer(auditor);
}

/* Modules that are no files are left out, and those that have been opened before. */
static uint32_t find_unopened(
	struct auditor *auditor, struct audit_job *job, struct module_info *infos)
{
	const struct module_map *modules = session_modules(job->session);
	job->unopened_count = 0;
	for (uint32_t i = 0; i < job->item->module_count; i++) {
		uint32_t module = job->item->modules[i].module;
		const struct module_info *info = module_map_get(modules, module);
		const struct symbol_file *known = session_file(job->session, module);
		job->keys[i] = known->inode != 0 ? symbol_client_find(auditor->client, known) : 0;
		if (job->keys[i] != 0 || info->path[0] != '/')
			continue;
		infos[job->unopened_count] = *info;
		job->unopened[job->unopened_count++] = i;
	}
	return job->unopened_count;
}

static void begin(struct auditor *auditor, struct audit_job *job)
{
	struct module_info infos[MAX_MAPPINGS];
	auditor->current = job;
	session_audit_locate(session_audit(job->session), job->item);
	auditor->state = OPENING;
	set_deadline(auditor);
	if (find_unopened(auditor, job, infos) == 0) {
		use_helper(auditor);
		return;
	}
	auditor->opening =
		module_files_open(auditor->files, job->uid, session_process(job->session)->proc_fd,
			infos, job->unopened_count, on_opened, auditor);
}

static void go_on(struct auditor *auditor)
{
	struct audit_job *job = NULL;
	if (auditor->state == RESTING)
		job = audit_queue_take(&auditor->queue, now_ms(auditor));
	if (job != NULL)
		begin(auditor, job);
	set_timer(auditor);
}

static void on_late(struct auditor *auditor)
{
	if (auditor->state == OPENING) {
		module_files_cancel(auditor->files, auditor->opening);
		auditor->opening = 0;
		give_up(auditor, SESSION_AUDIT_NO_FILE, true);
	} else {
		lose_helper(auditor, "took too long and was ended");
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct auditor *auditor = timer->data;
	uint64_t now = now_ms(auditor);
	if (auditor->state != RESTING && now >= auditor->deadline_ms)
		on_late(auditor);
	else if (auditor->state == RESTING && now >= auditor->idle_at_ms)
		forget_helper(auditor);
	go_on(auditor);
}

static bool is_ready(const Spprof__V1__SymbolizerReply *reply)
{
	return reply->kind_case == SPPROF__V1__SYMBOLIZER_REPLY__KIND_READY &&
	       reply->ready->protocol == SPPROF__V1__SYMBOLIZER_BOUND__PROTOCOL;
}

/* False: the reply makes no sense. */
static bool on_told(struct auditor *auditor, const Spprof__V1__SymbolizerReply *reply)
{
	uint32_t *key = &auditor->current->keys[auditor->telling];
	if (reply->file != *key ||
		(!reply->error && reply->kind_case != SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED))
		return false;
	if (reply->error)
		*key = 0;
	else
		auditor->known[auditor->known_count++] = *key;
	auditor->telling++;
	tell(auditor);
	return true;
}

static bool on_audited(struct auditor *auditor, const Spprof__V1__SymbolizerReply *reply)
{
	struct audit_job *job = auditor->current;
	const Spprof__V1__SymbolizerAudited *audited = reply->audited;
	if (reply->kind_case != SPPROF__V1__SYMBOLIZER_REPLY__KIND_AUDITED ||
		(unsigned)audited->verdict >= SESSION_AUDIT_VERDICTS || audited->frames == 0 ||
		audited->frames > job->item->head.frame_count)
		return false;
	session_audit_judged(session_audit(job->session), TAKE(job->item),
		(enum session_audit_verdict)audited->verdict,
		audited->stop == SPPROF__V1__SYMBOLIZER_AUDITED__STOP__NO_INFO, audited->frames);
	audit_queue_free_job(TAKE(auditor->current));
	auditor->stats.judged++;
	rest(auditor, auditor->helper_uid, false);
	return true;
}

static bool on_answer(struct auditor *auditor, const Spprof__V1__SymbolizerReply *reply)
{
	struct audit_job *job = auditor->current;
	if (reply->file != auditor->number)
		return false;
	if (!reply->error)
		return on_audited(auditor, reply);
	if (reply->error != ESTALE || job->told_again) {
		give_up(auditor, SESSION_AUDIT_HELPER, true);
		return true;
	}
	job->told_again = true;
	auditor->known_count = 0;
	begin_telling(auditor);
	return true;
}

static void on_reply(void *data, const Spprof__V1__SymbolizerReply *reply)
{
	struct auditor *auditor = data;
	bool sense = false;
	if (!auditor->ready) {
		sense = auditor->ready = is_ready(reply);
		if (sense && auditor->state == STARTING)
			on_ready(auditor);
	} else if (auditor->state == TELLING) {
		sense = on_told(auditor, reply);
	} else if (auditor->state == ASKED) {
		sense = on_answer(auditor, reply);
	}
	if (!sense)
		lose_helper(auditor, "sent nonsense and was ended");
	go_on(auditor);
}

int auditor_new(struct auditor **out, struct uv_loop_s *loop, const char *program,
	struct module_files *files, struct symbol_client *client,
	const struct auditor_options *options)
{
	const struct auditor_options none = {0};
	if (options == NULL)
		options = &none;
	struct auditor *auditor = alloc_zeroed(1, sizeof *auditor);
	int r = uv_timer_init(loop, &auditor->timer);
	if (r < 0) {
		free(auditor);
		return r;
	}
	auditor->timer.data = auditor;
	auditor->loop = loop;
	auditor->files = files;
	auditor->client = client;
	auditor->program = alloc_strdup(program);
	auditor->stall_ms = options->stall_ms ? options->stall_ms : DEFAULT_STALL_MS;
	auditor->idle_ms = options->idle_ms ? options->idle_ms : DEFAULT_IDLE_MS;
	audit_queue_init(&auditor->queue);
	*out = auditor;
	return 0;
}

static void free_closed(uv_handle_t *timer)
{
	free(timer->data);
}

struct auditor *auditor_free(struct auditor *auditor)
{
	if (auditor == NULL)
		return NULL;
	if (auditor->opening != 0)
		module_files_cancel(auditor->files, auditor->opening);
	if (auditor->current != NULL)
		audit_queue_give_up(TAKE(auditor->current), SESSION_AUDIT_HELPER);
	audit_queue_deinit(&auditor->queue);
	symbol_helper_free(auditor->helper);
	free(auditor->program);
	uv_close((uv_handle_t *)&auditor->timer, free_closed);
	return NULL;
}

bool auditor_has_room(const struct auditor *auditor, const struct session *session)
{
	return audit_queue_has_room(&auditor->queue, session);
}

bool auditor_take(struct auditor *auditor, struct session *session, struct session_audit_item *item)
{
	if (!audit_queue_add(&auditor->queue, session, item, now_ms(auditor))) {
		auditor->stats.refused++;
		return false;
	}
	/* From the timer, never from inside a round. */
	set_timer(auditor);
	return true;
}

void auditor_forget(struct auditor *auditor, const struct session *session)
{
	audit_queue_forget(&auditor->queue, session);
	set_timer(auditor);
}

void auditor_stats(const struct auditor *auditor, struct auditor_stats *out)
{
	*out = auditor->stats;
	out->waiting = auditor->queue.count;
	out->helper_pid = auditor->helper != NULL ? symbol_helper_pid(auditor->helper) : 0;
}
