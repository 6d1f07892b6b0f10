/* Sessions of processes that are made up: of any user, forked from each other as the test says. They are gone already,
 * and nobody runs the loop that would notice. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "server/options.h"
#include "server/session.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

/* A process of the line that `id` begins with: it was made at 1000 * pid. */
struct family_member {
	int32_t pid;
	uid_t uid;
	uint64_t first_id;
	const struct family_member *parent; /* NULL: not forked */
};

static inline void family_fixture_segment(
	struct fake_segment *segment, const struct family_member *member)
{
	unsigned level = 0;
	fake_segment_init(segment, 1, 64u << 10, 0);
	flock(segment->fd, LOCK_UN);
	segment->header->pid_hint = (uint32_t)member->pid;
	segment->header->load_ns = 1000u * (uint64_t)member->pid;
	segment->header->first_id = member->first_id;
	if (member->parent != NULL)
		segment->header->flags |= WIRE_FLAG_FORKED;
	for (const struct family_member *at = member->parent; at != NULL; at = at->parent, level++)
		if (level < WIRE_ANCESTORS)
			segment->header->ancestors[level] = (struct wire_ancestor){
				1000u * (uint64_t)at->pid, at->first_id, (uint32_t)at->pid, 0};
	segment->header->generation = 1 + level;
	fake_segment_seal(segment, FAKE_SEGMENT_SEALS);
}

static inline struct session_claim family_fixture_claim(const struct family_member *member)
{
	struct fake_segment segment;
	struct session_claim claim = {
		.process = PROCESS_HANDLE_INIT, .uid = member->uid, .attach = SESSION_HANDSHAKE};
	claim.process.pid = member->pid;
	family_fixture_segment(&segment, member);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	fake_segment_deinit(&segment);
	return claim;
}
