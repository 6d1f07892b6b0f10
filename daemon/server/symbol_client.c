/*
 * The pieces: symbol_files knows the files and the answers, symbol_dialogue talks to the helper,
 * symbol_waits holds the resolves. Here they are put together: one timer stands for all that is to
 * happen at some time, and is set anew after every change. Callbacks of resolves are called from
 * the timer alone, so never from inside a call of the caller's.
 */
#include "server/symbol_client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "server/background_close.h"
#include "server/symbol_dialogue.h"
#include "server/symbol_files.h"
#include "server/symbol_helper.h"
#include "server/symbol_waits.h"

#define DEFAULT_CACHE_BYTES ((size_t)64 << 20)
#define DEFAULT_STALL_MS    10000
#define DEFAULT_IDLE_MS	    60000
#define DEFAULT_DEBUG_ROOT  "/usr/lib/debug"
#define CLOSE_AGAIN_MS	    500

struct symbol_client {
	uv_loop_t *loop; /* borrows */
	uv_timer_t timer;
	struct symbol_files files;
	struct symbol_dialogue dialogue;
	struct symbol_waits waits;
	uint32_t idle_ms;
	uint64_t idle_at_ms;
};

static void on_timer(uv_timer_t *timer);

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool holds_anything(const struct symbol_client *client)
{
	return client->dialogue.helper || client->files.descriptors;
}

static void set_timer(struct symbol_client *client)
{
	uint64_t now = uv_now(client->loop);
	uint64_t next = sooner(symbol_dialogue_next_ms(&client->dialogue),
		symbol_waits_next_deadline(&client->waits));
	if (symbol_waits_any_due(&client->waits, now))
		next = now;
	if (holds_anything(client))
		next = sooner(next, client->idle_at_ms);
	if (next == UINT64_MAX)
		uv_timer_stop(&client->timer);
	else
		uv_timer_start(&client->timer, on_timer, next > now ? next - now : 0, 0);
}

static void on_changed(void *data)
{
	struct symbol_client *client = data;
	symbol_dialogue_run(&client->dialogue);
	set_timer(client);
}

/* A descriptor keeps a deleted file's space and an unmounted file system; the helper keeps its
 * memory. */
static void rest(struct symbol_client *client)
{
	struct symbol_files_entry *file;
	symbol_dialogue_rest(&client->dialogue);
	if (client->dialogue.helper || client->files.queued)
		return;
	TAILQ_FOREACH (file, &client->files.by_use, by_use)
		if (!symbol_files_close_fd(&client->files, file)) {
			client->idle_at_ms = uv_now(client->loop) + CLOSE_AGAIN_MS;
			return;
		}
}

static void used(struct symbol_client *client)
{
	client->idle_at_ms = uv_now(client->loop) + client->idle_ms;
}

static void on_timer(uv_timer_t *timer)
{
	struct symbol_client *client = timer->data;
	uint64_t now = uv_now(client->loop);
	while (symbol_waits_tell_one(&client->waits, now))
		;
	if (client->waits.ended)
		return;
	symbol_dialogue_check(&client->dialogue);
	symbol_dialogue_run(&client->dialogue);
	if (symbol_waits_any(&client->waits) || client->files.queued)
		used(client);
	else if (now >= client->idle_at_ms)
		rest(client);
	set_timer(client);
}

int symbol_client_new(struct symbol_client **out, struct uv_loop_s *loop, const char *program,
	const struct symbol_client_options *options)
{
	const struct symbol_client_options none = {0};
	if (!options)
		options = &none;
	struct symbol_client *client = alloc_zeroed(1, sizeof(*client));
	int r = uv_timer_init(loop, &client->timer);
	if (r < 0) {
		free(client);
		return r;
	}
	client->loop = loop;
	client->timer.data = client;
	client->idle_ms = options->idle_ms ? options->idle_ms : DEFAULT_IDLE_MS;
	symbol_files_init(
		&client->files, options->cache_bytes ? options->cache_bytes : DEFAULT_CACHE_BYTES);
	symbol_waits_init(&client->waits);
	client->dialogue = (struct symbol_dialogue){
		.loop = loop,
		.files = &client->files,
		.program = alloc_strdup(program),
		.debug_root = alloc_strdup(
			options->debug_root ? options->debug_root : DEFAULT_DEBUG_ROOT),
		.stall_ms = options->stall_ms ? options->stall_ms : DEFAULT_STALL_MS,
		.changed = on_changed,
		.data = client,
	};
	symbol_dialogue_init(&client->dialogue);
	*out = client;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct symbol_client *symbol_client_free(struct symbol_client *client)
{
	if (!client)
		return NULL;
	symbol_waits_deinit(&client->waits);
	symbol_dialogue_deinit(&client->dialogue);
	symbol_files_deinit(&client->files);
	uv_close((uv_handle_t *)&client->timer, on_timer_closed);
	return NULL;
}

uint32_t symbol_client_file(struct symbol_client *client, const struct symbol_file *file, int fd)
{
	struct symbol_files_entry *entry = symbol_files_find(&client->files, file);
	if (!entry)
		entry = symbol_files_add(&client->files, file);
	if (!entry) {
		if (fd >= 0)
			background_close(fd);
		return UINT32_MAX; /* no file's key: it stays unknown */
	}
	symbol_files_touch(&client->files, entry);
	symbol_files_set_fd(&client->files, entry, fd);
	used(client);
	set_timer(client);
	return entry->key;
}

uint32_t symbol_client_find(const struct symbol_client *client, const struct symbol_file *file)
{
	const struct symbol_files_entry *entry = symbol_files_find(&client->files, file);
	bool can_be_asked = entry && (entry->fd >= 0 || entry->stage == SYMBOL_FILES_GIVEN_UP);
	return can_be_asked ? entry->key : 0;
}

int symbol_client_descriptor(const struct symbol_client *client, uint32_t file)
{
	const struct symbol_files_entry *entry = symbol_files_get(&client->files, file);
	return entry ? entry->fd : -1;
}

const char *symbol_client_build_id(const struct symbol_client *client, uint32_t file)
{
	const struct symbol_files_entry *entry = symbol_files_get(&client->files, file);
	return entry ? entry->build_id : "";
}

int symbol_client_lookup(
	struct symbol_client *client, uint32_t file, uint64_t offset, struct symbol_lines *out)
{
	uint64_t ticket;
	const struct symbol_files_entry *entry = symbol_files_get(&client->files, file);
	if (!entry)
		return 0;
	if (entry->stage == SYMBOL_FILES_GIVEN_UP)
		return -ENODATA;
	return symbol_cache_find(&entry->cache, offset, out, &ticket) == SYMBOL_CACHE_KNOWN;
}

/* The ticket to wait for, 0: nothing to wait for. */
static uint64_t ask(struct symbol_client *client, struct symbol_files_entry *file, uint64_t offset)
{
	struct symbol_lines lines;
	uint64_t ticket = 0;
	if (file->stage == SYMBOL_FILES_GIVEN_UP)
		return 0;
	if (symbol_cache_find(&file->cache, offset, &lines, &ticket) != SYMBOL_CACHE_UNKNOWN)
		return ticket;
	if (file->fd < 0)
		return 0;
	ticket = symbol_files_ask(&client->files, file, offset);
	if (!ticket)
		client->dialogue.stats.offsets_dropped++;
	symbol_dialogue_wake(&client->dialogue, file);
	return ticket;
}

uint64_t symbol_client_resolve(struct symbol_client *client, const struct symbol_query *queries,
	size_t count, uint32_t timeout_ms, void (*done)(void *data), void *data)
{
	uv_update_time(client->loop); /* the caller may have computed for long */
	struct symbol_waits_item *wait =
		symbol_waits_add(&client->waits, uv_now(client->loop) + timeout_ms, done, data);
	for (size_t i = 0; i < count; i++) {
		struct symbol_files_entry *file = symbol_files_get(&client->files, queries[i].file);
		if (!file)
			continue;
		symbol_waits_need(wait, file, 0); /* pinned before anything is evicted for it */
		symbol_waits_need(wait, file, ask(client, file, queries[i].offset));
		symbol_files_touch(&client->files, file);
	}
	used(client);
	symbol_dialogue_run(&client->dialogue);
	set_timer(client);
	return wait->handle;
}

void symbol_client_cancel(struct symbol_client *client, uint64_t handle)
{
	symbol_waits_cancel(&client->waits, handle);
	set_timer(client);
}

void symbol_client_stats(const struct symbol_client *client, struct symbol_client_stats *out)
{
	*out = client->dialogue.stats;
	out->cache_bytes = client->files.cache_bytes;
	out->helper_pid = client->dialogue.helper ? symbol_helper_pid(client->dialogue.helper) : 0;
}
