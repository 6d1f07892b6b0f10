/* What a session can say of itself as counters: what the agent counts, what was lost, how stacks
 * were captured, how large the model is. One thread (the loop's). */
#pragma once

struct counter_list;
struct session;

void session_counters_add(struct counter_list *list, struct session *session);
