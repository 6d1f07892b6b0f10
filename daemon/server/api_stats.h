/* The answers to a StatsRequest: of one process, and of the daemon with the sums of all processes that
 * the peer may see. One thread (the loop's). */
#pragma once

struct api_answer;
struct api_handlers_parts;
struct api_peer;
struct session;

struct api_answer *api_stats_of_process(struct session *session);
struct api_answer *api_stats_of_daemon(
	const struct api_handlers_parts *parts, const struct api_peer *peer);
