/*
 * Where a stress test's consumer gets the agent's segment from. Two files implement it, and a
 * program links one of them:
 *
 *   segment_by_pread.c     as the daemon does: its own mapping of the header, ring data by pread
 *   segment_by_mapping.c   the agent's own mapping throughout, so that a thread sanitizer, which
 * sees neither pread nor that two mappings are one memory, sees every access
 */
#pragma once

struct segment;
struct segment_map;

int segment_source_open(struct segment_map **out, const struct segment *segment);
