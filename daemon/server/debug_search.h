/*
 * Looks for a file's separate debug information on libuv's thread pool. One thread (the loop's). A
 * search owns copies of what it needs.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "server/debug_file.h"

struct uv_loop_s;
struct debug_search;

LIST_HEAD(debug_search_list, debug_search);

struct debug_search_request {
	const char *root;
	struct debug_file_id id; /* of the program, or of the supplement */
	const char *name;	 /* .gnu_debuglink's, or the supplement's path; "" if none */
	bool supplement;
	int binary_fd; /* lent for the call */
	uint32_t file; /* handed back */
};

/* `fd` is the callee's: what was found, or negative errno. */
typedef void debug_search_done(void *data, uint32_t file, int fd);

void debug_search_start(struct debug_search_list *list, struct uv_loop_s *loop,
	const struct debug_search_request *request, debug_search_done *done, void *data);
/* No `done` is called any more; the loop must run until the searches have ended. */
void debug_search_abandon(struct debug_search_list *list);
