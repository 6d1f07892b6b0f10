/* What the daemon can say of itself as counters. One thread (the loop's). */
#pragma once

struct api_handlers_parts;
struct counter_list;

void daemon_counters_add(struct counter_list *list, const struct api_handlers_parts *parts);
