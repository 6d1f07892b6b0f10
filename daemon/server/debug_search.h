/*
 * Looks for files' separate debug information on libuv's thread pool. A file system that doesn't
 * answer costs a search its time and the pool a thread; both are bounded. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "server/debug_file.h"

#define DEBUG_SEARCH_RUNNING 4 /* then the caller opens no more files until one has ended */
#define DEBUG_SEARCH_HUNG    4 /* so many hang: then none looks beside programs any more */
#define DEBUG_SEARCH_MAX     8 /* running and hung, of the pool's 16 threads */
#define DEBUG_SEARCH_MS	     2000

struct uv_loop_s;
struct debug_search;

/* `fd` is the callee's: what was found, or negative errno. */
typedef void debug_search_done(void *data, uint32_t file, int fd);

struct debug_searches {
	struct uv_loop_s *loop; /* borrows */
	const char *root;	/* borrows */
	debug_search_done *done;
	void *data;
	LIST_HEAD(debug_search_list, debug_search) running;
	struct debug_search_list hung;
	unsigned running_count, hung_count;
	uint32_t limit_ms; /* DEBUG_SEARCH_MS; tests are less patient */
};

struct debug_search_request {	 /* copied */
	struct debug_file_id id; /* of the program, or of the supplement */
	const char *name;	 /* .gnu_debuglink's, or the supplement's path; "" if none */
	bool supplement;
	int binary_fd; /* lent for the call */
	uint32_t file; /* handed back */
};

void debug_search_init(struct debug_searches *searches, struct uv_loop_s *loop, const char *root,
	debug_search_done *done, void *data);
/* False: nothing is searched, and `done` is not called. */
bool debug_search_start(
	struct debug_searches *searches, const struct debug_search_request *request);
/* Calls `done` with -ETIMEDOUT for those that have taken too long. */
void debug_search_expire(struct debug_searches *searches);
/* When that will be, by the loop's clock; UINT64_MAX: nothing is searched. */
uint64_t debug_search_next_ms(const struct debug_searches *searches);
/* No `done` is called any more; the loop must run until the searches have ended. */
void debug_search_abandon(struct debug_searches *searches);
