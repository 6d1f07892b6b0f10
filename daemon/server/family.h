/*
 * Which of the sessions are forked descendants of one process. A segment says from which segments its process was forked, by
 * when they were made and by whom, of the nearest WIRE_ANCESTORS, so that fewer of those in between may have ended in a row;
 * who is further away descends from one of these. It is believed where both run under the
 * same uid alone, and else only as far as the kernel's parent, noted when the process was attached, says the same: the
 * parent itself or one that belongs already. Processes that have ended hold nothing and are left out. One thread
 * (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct api_peer;
struct session;
struct session_table;

#define FAMILY_MAX 256u /* processes in one answer */

struct family {
	struct session **
		members; /* owns, and a reference to each; the root first, ancestors before descendants */
	uint32_t count;	   /* >= 1 */
	uint32_t left_out; /* living, but past the bound or not for the peer to see */
};

void family_init(struct family *family, const struct session_table *table, struct session *root,
	const struct api_peer *peer);
void family_deinit(struct family *family);
/* Whether some of the members may have inherited from this one. */
bool family_has_heirs(const struct family *family, uint32_t member);
