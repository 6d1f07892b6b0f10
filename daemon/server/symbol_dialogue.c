/*
 * The helper answers in order, so the oldest request in flight is what it is busy with, and what it
 * died of. A file over which it died twice without answering anything about it in between is given
 * up; the requests of the others are sent again to the next helper, which is started after a pause
 * that doubles with each death until one answers. A helper that doesn't get as far as saying
 * "ready" is nobody's fault: then the offsets waiting are left unknown, rather than keeping
 * everybody waiting for a program that isn't there.
 *
 * A file has at most one request in flight; several files have one each, so that the helper does
 * not wait for the daemon between two.
 */
#include "server/symbol_dialogue.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "base/log.h"
#include "server/symbol_helper.h"
#include "server/symbol_replies.h"

#define MAX_DEATHS     2
#define MAX_LINGERING  16
#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  10000
#define BATCH	       SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS

static const struct symbol_helper_handlers handlers;

void symbol_dialogue_init(struct symbol_dialogue *dialogue)
{
	dialogue->stalls_at_ms = UINT64_MAX;
	debug_search_init(&dialogue->searches, dialogue->loop, dialogue->debug_root,
		symbol_replies_found, dialogue);
}

void symbol_dialogue_deinit(struct symbol_dialogue *dialogue)
{
	dialogue->helper = symbol_helper_free(dialogue->helper);
	debug_search_abandon(&dialogue->searches);
	free(dialogue->program);
	free(dialogue->debug_root);
}

static uint64_t now_ms(const struct symbol_dialogue *dialogue)
{
	return uv_now(dialogue->loop);
}

static void drop_queue(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	dialogue->stats.offsets_dropped += symbol_files_drop_queue(dialogue->files, file);
	symbol_files_leave_turn(dialogue->files, file);
}

static bool has_something_to_send(const struct symbol_files_entry *file)
{
	switch (file->stage) {
	case SYMBOL_FILES_FOUND:
		return true;
	case SYMBOL_FILES_CLOSED:
	case SYMBOL_FILES_OPEN:
		return file->queue_count > 0;
	default:
		return false;
	}
}

void symbol_dialogue_wake(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	if (has_something_to_send(file))
		symbol_files_take_turn(dialogue->files, file);
}

void symbol_dialogue_set_stage(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	enum symbol_files_stage stage)
{
	file->stage = stage;
	symbol_dialogue_wake(dialogue, file);
}

static void forget_helper(struct symbol_dialogue *dialogue)
{
	struct symbol_files_entry *file;
	dialogue->helper = symbol_helper_free(dialogue->helper);
	dialogue->ready = false;
	dialogue->in_flight_count = 0;
	dialogue->stalls_at_ms = UINT64_MAX;
	TAILQ_FOREACH (file, &dialogue->files->by_use, by_use) {
		symbol_files_close_found(file);
		symbol_files_leave_turn(dialogue->files, file);
		if (file->stage != SYMBOL_FILES_GIVEN_UP)
			symbol_dialogue_set_stage(dialogue, file, SYMBOL_FILES_CLOSED);
	}
}

static void pause_before_start(struct symbol_dialogue *dialogue)
{
	uint64_t pause = FIRST_PAUSE_MS;
	for (unsigned i = 0; i < dialogue->failures && pause < LAST_PAUSE_MS; i++)
		pause *= 2;
	dialogue->failures++;
	dialogue->starts_at_ms = now_ms(dialogue) + (pause < LAST_PAUSE_MS ? pause : LAST_PAUSE_MS);
	dialogue->stats.helper_deaths++;
}

static void drop_all_queues(struct symbol_dialogue *dialogue)
{
	struct symbol_files_entry *file;
	TAILQ_FOREACH (file, &dialogue->files->by_use, by_use)
		drop_queue(dialogue, file);
}

static void blame(
	struct symbol_dialogue *dialogue, struct symbol_files_entry *file, const char *why)
{
	char text[256];
	bool last = ++file->deaths >= MAX_DEATHS;
	log_warning("spprof-symbolizer %s over %s; %s", why,
		symbol_files_describe(file, text, sizeof(text)),
		last ? "the file is given up, its functions stay without names" : "trying again");
	if (!last)
		return;
	symbol_files_give_up(dialogue->files, file);
	dialogue->stats.files_given_up++;
}

static void lose_helper(struct symbol_dialogue *dialogue, const char *why)
{
	struct symbol_files_entry *culprit =
		dialogue->in_flight_count ? dialogue->in_flight[0] : NULL;
	bool was_ready = dialogue->ready;
	forget_helper(dialogue);
	if (culprit) {
		pause_before_start(dialogue);
		blame(dialogue, culprit, why);
	} else if (!was_ready) {
		pause_before_start(dialogue);
		drop_all_queues(dialogue);
		log_error("spprof-symbolizer %s before it was ready; functions stay without names",
			why);
	}
	dialogue->changed(dialogue->data);
}

static void on_end(void *data)
{
	lose_helper(data, "died");
}

static int start_helper(struct symbol_dialogue *dialogue)
{
	if (symbol_helper_lingering() >= MAX_LINGERING)
		return -EBUSY;
	return symbol_helper_new(&dialogue->helper, dialogue->loop, dialogue->program,
		SYMBOL_HELPER_NAMES, &handlers, dialogue);
}

static void start(struct symbol_dialogue *dialogue)
{
	int r = start_helper(dialogue);
	if (r < 0) {
		log_error("cannot start %s: %s; functions stay without names", dialogue->program,
			r == -EBUSY
				? "too many wait for files on a file system that does not answer"
				: uv_strerror(r));
		pause_before_start(dialogue);
		drop_all_queues(dialogue);
		return;
	}
	dialogue->stats.helper_starts++;
	dialogue->stalls_at_ms = now_ms(dialogue) + dialogue->stall_ms;
}

void symbol_dialogue_check(struct symbol_dialogue *dialogue)
{
	debug_search_expire(&dialogue->searches);
	if (dialogue->helper && now_ms(dialogue) >= dialogue->stalls_at_ms)
		lose_helper(dialogue, "stopped answering");
}

void symbol_dialogue_rest(struct symbol_dialogue *dialogue)
{
	if (dialogue->in_flight_count == 0 && TAILQ_EMPTY(&dialogue->files->by_turn) &&
		dialogue->searches.running_count == 0)
		forget_helper(dialogue);
}

uint64_t symbol_dialogue_next_ms(const struct symbol_dialogue *dialogue)
{
	uint64_t next = UINT64_MAX, search = debug_search_next_ms(&dialogue->searches);
	if (dialogue->helper)
		next = dialogue->stalls_at_ms;
	else if (!TAILQ_EMPTY(&dialogue->files->by_turn))
		next = dialogue->starts_at_ms;
	return search < next ? search : next;
}

static void await(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	if (dialogue->in_flight_count == 0)
		dialogue->stalls_at_ms = now_ms(dialogue) + dialogue->stall_ms;
	dialogue->in_flight[dialogue->in_flight_count++] = file;
}

static int send_open(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerOpen open = SPPROF__V1__SYMBOLIZER_OPEN__INIT;
	request.file = file->key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN;
	request.open = &open;
	file->stage = SYMBOL_FILES_OPENING;
	return symbol_helper_send(dialogue->helper, &request, file->fd);
}

static int send_found(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerAttach attach = SPPROF__V1__SYMBOLIZER_ATTACH__INIT;
	request.file = file->key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_ATTACH;
	request.attach = &attach;
	attach.role = file->found_supplement ? SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__SUPPLEMENT
					     : SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__DEBUG;
	file->stage = SYMBOL_FILES_ATTACHING;
	int r = symbol_helper_send(dialogue->helper, &request, file->found);
	symbol_files_close_found(file);
	return r;
}

static int send_lookup(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerLookup lookup = SPPROF__V1__SYMBOLIZER_LOOKUP__INIT;
	request.file = file->key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_LOOKUP;
	request.lookup = &lookup;
	file->in_flight = file->queue_count < BATCH ? file->queue_count : BATCH;
	lookup.offsets = file->queue + file->queue_head;
	lookup.n_offsets = file->in_flight;
	file->stage = SYMBOL_FILES_ASKED;
	return symbol_helper_send(dialogue->helper, &request, -1);
}

static void send_next(struct symbol_dialogue *dialogue, struct symbol_files_entry *file)
{
	int r;
	switch (file->stage) {
	case SYMBOL_FILES_CLOSED:
		r = send_open(dialogue, file);
		break;
	case SYMBOL_FILES_FOUND:
		r = send_found(dialogue, file);
		break;
	default:
		r = send_lookup(dialogue, file);
		break;
	}
	if (r == 0) {
		await(dialogue, file);
		return;
	}
	log_warning("cannot ask spprof-symbolizer: %s", strerror(-r));
	file->stage = SYMBOL_FILES_CLOSED;
	drop_queue(dialogue, file);
}

/* A file that is opened may have to be searched for. All behind it in the turn are to be opened
 * too. */
static bool may_be_sent(
	const struct symbol_dialogue *dialogue, const struct symbol_files_entry *file)
{
	return file->stage != SYMBOL_FILES_CLOSED ||
	       dialogue->searches.running_count < DEBUG_SEARCH_RUNNING;
}

void symbol_dialogue_run(struct symbol_dialogue *dialogue)
{
	struct symbol_files_entry *file;
	if (TAILQ_EMPTY(&dialogue->files->by_turn))
		return;
	if (!dialogue->helper && now_ms(dialogue) >= dialogue->starts_at_ms)
		start(dialogue);
	while (dialogue->ready && dialogue->in_flight_count < SYMBOL_DIALOGUE_WINDOW &&
		(file = TAILQ_FIRST(&dialogue->files->by_turn)) && may_be_sent(dialogue, file)) {
		symbol_files_leave_turn(dialogue->files, file);
		if (has_something_to_send(file))
			send_next(dialogue, file);
	}
}

static void pop_request(struct symbol_dialogue *dialogue)
{
	dialogue->in_flight_count--;
	memmove(&dialogue->in_flight[0], &dialogue->in_flight[1],
		dialogue->in_flight_count * sizeof(dialogue->in_flight[0]));
}

static void on_ready(struct symbol_dialogue *dialogue, const Spprof__V1__SymbolizerReply *reply)
{
	if (reply->kind_case != SPPROF__V1__SYMBOLIZER_REPLY__KIND_READY ||
		reply->ready->protocol != SPPROF__V1__SYMBOLIZER_BOUND__PROTOCOL) {
		lose_helper(dialogue, "is of another version (restart spprofd) and was ended");
		return;
	}
	dialogue->ready = true;
	dialogue->stalls_at_ms = UINT64_MAX;
	dialogue->changed(dialogue->data);
}

static void on_reply(void *data, const Spprof__V1__SymbolizerReply *reply)
{
	struct symbol_dialogue *dialogue = data;
	if (!dialogue->ready) {
		on_ready(dialogue, reply);
		return;
	}
	struct symbol_files_entry *file = dialogue->in_flight_count ? dialogue->in_flight[0] : NULL;
	if (!file || reply->file != file->key || !symbol_replies_take(dialogue, file, reply)) {
		lose_helper(dialogue, "sent nonsense");
		return;
	}
	dialogue->failures = 0;
	if (file->stage != SYMBOL_FILES_ASKED || file->in_flight == 0)
		pop_request(dialogue);
	dialogue->stalls_at_ms =
		dialogue->in_flight_count ? now_ms(dialogue) + dialogue->stall_ms : UINT64_MAX;
	dialogue->changed(dialogue->data);
}

static const struct symbol_helper_handlers handlers = {.reply = on_reply, .end = on_end};
