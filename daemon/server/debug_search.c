#include "server/debug_search.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "server/background_close.h"

struct debug_search {
	LIST_ENTRY(debug_search) all; /* unless abandoned */
	uv_work_t work;
	debug_search_done *done; /* NULL: abandoned */
	void *data;
	char *root;
	char *name;
	struct debug_file_id id;
	bool supplement;
	uint32_t file;
	int binary_fd; /* owns; closed in the pool, since closing may wait too */
	int result;
};

static void on_pool(uv_work_t *work)
{
	struct debug_search *search = work->data;
	search->result = search->supplement ? debug_file_open_supplement(
						      search->root, &search->id, search->name)
					    : debug_file_open(search->root, &search->id,
						      search->name, search->binary_fd);
	if (search->binary_fd >= 0)
		close(search->binary_fd);
}

static void on_loop(uv_work_t *work, int status)
{
	struct debug_search *search = work->data;
	int fd = status < 0 ? status : search->result;
	if (search->done) {
		LIST_REMOVE(search, all);
		search->done(search->data, search->file, fd);
	} else if (fd >= 0) {
		background_close(fd);
	}
	free(search->root);
	free(search->name);
	free(search);
}

void debug_search_start(struct debug_search_list *list, struct uv_loop_s *loop,
	const struct debug_search_request *request, debug_search_done *done, void *data)
{
	struct debug_search *search = alloc_zeroed(1, sizeof(*search));
	search->work.data = search;
	search->done = done;
	search->data = data;
	search->root = alloc_strdup(request->root);
	search->name = alloc_strdup(request->name);
	search->id = request->id;
	search->supplement = request->supplement;
	search->file = request->file;
	search->binary_fd = fcntl(request->binary_fd, F_DUPFD_CLOEXEC, 0);
	LIST_INSERT_HEAD(list, search, all);
	uv_queue_work(loop, &search->work, on_pool, on_loop);
}

void debug_search_abandon(struct debug_search_list *list)
{
	struct debug_search *search;
	while ((search = LIST_FIRST(list))) {
		LIST_REMOVE(search, all);
		search->done = NULL;
	}
}
