/*
 * A session's audits: collects the parts of each, resolves the frames to modules while these are
 * known, hands it to the auditor, counts what comes back. What a worker says is checked part by
 * part by the decoder; here, that the parts are one whole. Part of the session; one thread.
 *
 * The stack's bytes are the worker's secrets: they are in an audit's own memory alone, which is
 * overwritten before it is freed, and go to the symbolizer and nowhere else.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "server/capture_tally.h"
#include "spprof/wire/record.h"

struct auditor;
struct module_map;
struct record_sink;
struct session;

#define SESSION_AUDIT_MODULES 48u /* looked for in one audit; more have no file then */

/* One audit, complete. */
struct session_audit_item {
	struct session_audit_head { /* as in struct wire_audit, of its first part */
		uint64_t id;
		uint64_t pc, sp, fp;
		uint32_t module_epoch;
		uint16_t stack_bytes, frame_count;
		uint8_t stop, guessed;
	} head;
	bool whole;    /* the copy reaches the stack's end */
	uint32_t size; /* of the payload that has come so far */
	/* where code of each module lies; the files are found later */
	uint32_t module_count;
	struct session_audit_module {
		uint32_t module; /* of the session */
		uint64_t address, offset;
		bool has_file; /* the auditor says so */
	} modules[SESSION_AUDIT_MODULES];
	uint32_t frame_modules[WIRE_MAX_FRAMES]; /* or STACK_MODULE_NONE */
	uint8_t frame_places[WIRE_MAX_FRAMES];	 /* enum module_map_result of each */
	_Alignas(8) uint8_t payload[WIRE_AUDIT_PAYLOAD_MAX];
};

/* What the symbolizer found; see symbolizer/audit.h. */
enum session_audit_verdict {
	SESSION_AUDIT_AGREED,
	SESSION_AUDIT_CUT,
	SESSION_AUDIT_DIFFERENT,
	SESSION_AUDIT_SHORTER,
	SESSION_AUDIT_LONGER,
	SESSION_AUDIT_VERDICTS
};

/* Why there is no verdict. */
enum session_audit_reason {
	SESSION_AUDIT_BROKEN,	/* its parts are no whole */
	SESSION_AUDIT_BUSY,	/* too many were waiting already */
	SESSION_AUDIT_NO_FILE,	/* the code's file is gone or may not be read */
	SESSION_AUDIT_VDSO,	/* the code is the kernel's own page */
	SESSION_AUDIT_UNMAPPED, /* the code lies in no mapping that the daemon has seen */
	SESSION_AUDIT_GUESSED,	/* the agent guessed a frame, which it says itself */
	SESSION_AUDIT_HELPER,	/* the symbolizer failed or took too long */
	SESSION_AUDIT_REASONS
};

struct session_audit_stats {
	uint64_t heard; /* audits that began to come */
	uint64_t verdicts[SESSION_AUDIT_VERDICTS];
	uint64_t unjudged[SESSION_AUDIT_REASONS];
	uint64_t cut_short; /* of those that agree: both stopped before the outermost frame */
	uint64_t frames;    /* found the same by both */
	uint64_t pending;
};

struct session_audit {
	struct session *session;	  /* borrows */
	const struct module_map *modules; /* borrows */
	struct capture_tally *tally;	  /* borrows */
	struct auditor *auditor;	  /* borrows; NULL: there is none */
	struct session_audit_item *item;  /* owns; the one whose parts are coming, NULL: none */
	struct session_audit_stats stats;
};

void session_audit_init(
	struct session_audit *audit, struct session *session, struct capture_tally *tally);
void session_audit_deinit(struct session_audit *audit);
/* No more parts will come; what has come of an audit is overwritten. */
void session_audit_end(struct session_audit *audit);
/* Looks again for the code that was in no known mapping when the audit came, or maybe in another: the
 * mappings are read again now and then. Once, before the item's modules are used. */
void session_audit_locate(const struct session_audit *audit, struct session_audit_item *item);
/* Takes the audits among a round's records. */
void session_audit_listen(struct session_audit *audit, struct record_sink *sink);

/* By the auditor, exactly once for each item that it has taken, which ends here. `frames` is at
 * least 1 and at most the item's. */
void session_audit_judged(struct session_audit *audit, struct session_audit_item *item,
	enum session_audit_verdict verdict, bool no_rule, uint32_t frames);
void session_audit_given_up(struct session_audit *audit, struct session_audit_item *item,
	enum session_audit_reason reason);
void session_audit_free_item(struct session_audit_item *item);

static inline const uint64_t *session_audit_frames(const struct session_audit_item *item)
{
	return (const uint64_t *)item->payload;
}

static inline const uint8_t *session_audit_stack(const struct session_audit_item *item)
{
	return item->payload + item->head.frame_count * sizeof(uint64_t);
}
