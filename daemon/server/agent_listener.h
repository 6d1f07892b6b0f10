/*
 * DIR/agent.sock: takes the segments that agents hand over at load. Who hands over is asked of the
 * kernel; the message only says that it speaks our language. Owns its socket; adopts into the
 * session table. One thread (the loop's).
 */
#pragma once
#include <stdint.h>

struct agent_listener;
struct process_reader;
struct session_table;
struct uv_loop_s;

/* Takes the bound socket `fd` over in every case. `reader` asks peers what they are; borrowed. */
int agent_listener_new(struct agent_listener **out, struct uv_loop_s *loop, int fd,
	struct session_table *table, struct process_reader *reader);
/* The loop must run until the handles are closed. */
struct agent_listener *agent_listener_free(struct agent_listener *listener);

struct agent_listener_stats {
	uint64_t connections, adopted;
	uint64_t malformed;  /* no handshake of ours, or no segment in it */
	uint64_t refused;    /* a segment, but none that could be attached */
	uint64_t timed_out;  /* connected and said nothing */
	uint64_t unclosable; /* descriptors of hanging file servers, left open */
};
void agent_listener_stats(const struct agent_listener *listener, struct agent_listener_stats *out);
