/* The answer to a ListRequest: all sessions and lost forks that the peer may see, by pid. One
 * thread (the loop's). */
#pragma once
#include <stdbool.h>

struct api_call;
struct api_handlers_parts;

void process_list_answer(
	const struct api_handlers_parts *parts, struct api_call *call, bool include_exited);
