/* Which daemon drains a segment: one, until it lets go or dies. Any thread. */
#pragma once

struct segment_map;

/* 0 and a descriptor, which holds the lock and is to be released; -EBUSY: another daemon has it; other
 * negative errno. */
int segment_lock_take(const struct segment_map *segment, int *out);
void segment_lock_release(int *fd); /* -1 afterwards; accepts -1 */
