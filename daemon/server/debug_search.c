/*
 * A search belongs to one of two lists, running or hung, until it ends or all are abandoned; then
 * it frees itself on the loop.
 */
#include "server/debug_search.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "server/background_close.h"

struct debug_search {
	LIST_ENTRY(debug_search) all;
	struct debug_searches *owner; /* NULL: abandoned */
	uv_work_t work;
	uint64_t until_ms; /* 0: hung, and told so */
	char *root;
	char *name;
	struct debug_file_id id;
	bool supplement;
	uint32_t file;
	int binary_fd; /* owns; closed in the pool, since closing may wait too */
	int result;
};

void debug_search_init(struct debug_searches *searches, struct uv_loop_s *loop, const char *root,
	debug_search_done *done, void *data)
{
	*searches = (struct debug_searches){
		.loop = loop,
		.root = root,
		.done = done,
		.data = data,
		.limit_ms = DEBUG_SEARCH_MS,
	};
	LIST_INIT(&searches->running);
	LIST_INIT(&searches->hung);
}

static void on_pool(uv_work_t *work)
{
	struct debug_search *search = work->data;
	if (search->supplement)
		search->result =
			debug_file_open_supplement(search->root, &search->id, search->name);
	else
		search->result =
			debug_file_open(search->root, &search->id, search->name, search->binary_fd);
	if (search->binary_fd >= 0)
		close(search->binary_fd);
}

/* Whether somebody still waits for it. */
static bool leave(struct debug_search *search)
{
	struct debug_searches *owner = search->owner;
	if (!owner)
		return false;
	LIST_REMOVE(search, all);
	if (search->until_ms)
		owner->running_count--;
	else
		owner->hung_count--;
	return search->until_ms != 0;
}

static void on_loop(uv_work_t *work, int status)
{
	struct debug_search *search = work->data;
	int fd = status < 0 ? status : search->result;
	if (leave(search))
		search->owner->done(search->owner->data, search->file, fd);
	else if (fd >= 0)
		background_close(fd);
	free(search->root);
	free(search->name);
	free(search);
}

bool debug_search_start(struct debug_searches *searches, const struct debug_search_request *request)
{
	if (searches->running_count + searches->hung_count >= DEBUG_SEARCH_MAX)
		return false;
	bool root_only = searches->hung_count >= DEBUG_SEARCH_HUNG && !request->supplement;
	struct debug_search *search = alloc_zeroed(1, sizeof(*search));
	search->owner = searches;
	search->work.data = search;
	search->until_ms = uv_now(searches->loop) + searches->limit_ms;
	search->root = alloc_strdup(searches->root);
	search->name = alloc_strdup(root_only ? "" : request->name);
	search->id = request->id;
	search->supplement = request->supplement;
	search->file = request->file;
	search->binary_fd = fcntl(request->binary_fd, F_DUPFD_CLOEXEC, 0);
	LIST_INSERT_HEAD(&searches->running, search, all);
	searches->running_count++;
	uv_queue_work(searches->loop, &search->work, on_pool, on_loop);
	return true;
}

static struct debug_search *find_expired(const struct debug_searches *searches)
{
	struct debug_search *search;
	LIST_FOREACH (search, &searches->running, all)
		if (uv_now(searches->loop) >= search->until_ms)
			return search;
	return NULL;
}

void debug_search_expire(struct debug_searches *searches)
{
	struct debug_search *search;
	while ((search = find_expired(searches))) {
		leave(search);
		search->until_ms = 0;
		LIST_INSERT_HEAD(&searches->hung, search, all);
		searches->hung_count++;
		searches->done(searches->data, search->file, -ETIMEDOUT);
	}
}

uint64_t debug_search_next_ms(const struct debug_searches *searches)
{
	const struct debug_search *search;
	uint64_t next = UINT64_MAX;
	LIST_FOREACH (search, &searches->running, all)
		if (search->until_ms < next)
			next = search->until_ms;
	return next;
}

static void abandon_list(struct debug_search_list *list)
{
	struct debug_search *search;
	while ((search = LIST_FIRST(list))) {
		LIST_REMOVE(search, all);
		search->owner = NULL;
	}
}

void debug_search_abandon(struct debug_searches *searches)
{
	abandon_list(&searches->running);
	abandon_list(&searches->hung);
}
