/*
 * A worker publishes the parts of an audit together and in order, so that of two that come mixed or
 * with gaps at least one is not what an agent writes: what has come of it is thrown away.
 */
#include "server/session_audit.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "ingest/ring_consumer.h"
#include "model/stack_table.h"
#include "server/auditor.h"
#include "server/module_map.h"
#include "server/session.h"

void session_audit_free_item(struct session_audit_item *item)
{
	if (item == NULL)
		return;
	explicit_bzero(item->payload, sizeof item->payload);
	free(item);
}

void session_audit_init(
	struct session_audit *audit, struct session *session, struct capture_tally *tally)
{
	*audit = (struct session_audit){
		.session = session, .modules = session_modules(session), .tally = tally};
}

void session_audit_deinit(struct session_audit *audit)
{
	session_audit_free_item(TAKE(audit->item));
}

static void give_up(struct session_audit *audit, enum session_audit_reason reason)
{
	audit->stats.unjudged[reason]++;
	session_audit_free_item(TAKE(audit->item));
}

void session_audit_end(struct session_audit *audit)
{
	if (audit->item != NULL)
		give_up(audit, SESSION_AUDIT_BROKEN);
}

static uint32_t payload_size(const struct session_audit_head *head)
{
	return (uint32_t)(head->frame_count * sizeof(uint64_t)) + head->stack_bytes;
}

static void begin(struct session_audit *audit, const struct wire_audit *part)
{
	audit->stats.heard++;
	audit->item = alloc_zeroed(1, sizeof *audit->item);
	audit->item->head = (struct session_audit_head){
		.id = part->id,
		.pc = part->pc,
		.sp = part->sp,
		.fp = part->fp,
		.module_epoch = part->module_epoch,
		.stack_bytes = part->stack_bytes,
		.frame_count = part->frame_count,
		.stop = part->stop,
		.guessed = part->guessed,
	};
	audit->item->whole = part->stack_bytes < WIRE_AUDIT_STACK_MAX;
}

/* The same head, and the payload's next bytes. */
static bool continues(const struct session_audit_item *item, const struct wire_audit *part)
{
	const struct session_audit_head *head = &item->head;
	return part->offset == item->size && part->id == head->id && part->pc == head->pc &&
	       part->sp == head->sp && part->fp == head->fp && part->stop == head->stop &&
	       part->guessed == head->guessed && part->frame_count == head->frame_count &&
	       part->stack_bytes == head->stack_bytes && part->module_epoch == head->module_epoch;
}

static void note_module(
	struct session_audit_item *item, uint32_t module, uint64_t address, uint64_t offset)
{
	for (uint32_t i = 0; i < item->module_count; i++)
		if (item->modules[i].module == module)
			return;
	if (item->module_count < SESSION_AUDIT_MODULES)
		item->modules[item->module_count++] = (struct session_audit_module){
			.module = module, .address = address, .offset = offset};
}

static void locate(
	const struct session_audit *audit, struct session_audit_item *item, uint32_t frame)
{
	uint64_t address = session_audit_frames(item)[frame] - 1, offset;
	item->frame_places[frame] = (uint8_t)module_map_resolve(audit->modules, address,
		item->head.module_epoch, &item->frame_modules[frame], &offset);
	if (item->frame_modules[frame] != STACK_MODULE_NONE)
		note_module(item, item->frame_modules[frame], address, offset);
}

/* Now, for a library may be gone when the auditor's turn comes. The BIRTH that came before has had
 * the mappings read again, unless that was done a moment ago. */
static void locate_all(const struct session_audit *audit, struct session_audit_item *item)
{
	for (uint32_t i = 0; i < item->head.frame_count; i++)
		locate(audit, item, i);
}

void session_audit_locate(const struct session_audit *audit, struct session_audit_item *item)
{
	for (uint32_t i = 0; i < item->head.frame_count; i++)
		if (item->frame_places[i] != MODULE_MAP_FOUND)
			locate(audit, item, i);
}

/* An unwinder finds no frames of an interpreter. */
static void leave_native(struct session_audit_item *item)
{
	uint64_t *frames = (uint64_t *)item->payload;
	const uint8_t *stack = session_audit_stack(item);
	uint16_t count = 0;
	for (uint32_t i = 0; i < item->head.frame_count; i++)
		if (!wire_frame_is_python(frames[i]))
			frames[count++] = frames[i];
	item->head.frame_count = count;
	memmove(frames + count, stack, item->head.stack_bytes);
}

static void finish(struct session_audit *audit)
{
	leave_native(audit->item);
	if (audit->item->head.frame_count == 0 ||
		session_audit_frames(audit->item)[0] != audit->item->head.pc) {
		give_up(audit, SESSION_AUDIT_BROKEN);
		return;
	}
	locate_all(audit, audit->item);
	audit->stats.pending++;
	if (audit->auditor != NULL && auditor_take(audit->auditor, audit->session, audit->item)) {
		audit->item = NULL;
		return;
	}
	audit->stats.pending--;
	give_up(audit, SESSION_AUDIT_BUSY);
}

static void take_part(const struct wire_audit *part, void *data)
{
	struct session_audit *audit = data;
	uint32_t bytes = part->record.size - (uint32_t)sizeof *part;
	if (audit->item != NULL && !continues(audit->item, part))
		give_up(audit, SESSION_AUDIT_BROKEN);
	if (audit->item == NULL && part->offset != 0)
		return; /* of one that has been given up */
	/* Before 20 KiB are collected for nothing. */
	if (audit->item == NULL && audit->auditor != NULL &&
		!auditor_has_room(audit->auditor, audit->session)) {
		audit->stats.heard++;
		audit->stats.unjudged[SESSION_AUDIT_BUSY]++;
		return;
	}
	if (audit->item == NULL)
		begin(audit, part);
	memcpy(audit->item->payload + audit->item->size, part->payload, bytes);
	audit->item->size += bytes;
	if (audit->item->size == payload_size(&audit->item->head))
		finish(audit);
}

void session_audit_listen(struct session_audit *audit, struct record_sink *sink)
{
	sink->audit = take_part;
	sink->audit_data = audit;
}

static bool is_cut_short(const struct session_audit_item *item)
{
	return item->head.stop != WIRE_STOP_END && item->head.stop != WIRE_STOP_MAX;
}

/* What keeps libunwind from going on where there is no rule; REASONS: nothing that is known. The agent
 * has its rules from the loader: where it guessed nothing, there is a file. */
static enum session_audit_reason obstacle(
	const struct session_audit *audit, const struct session_audit_item *item, uint32_t frame)
{
	uint32_t module = item->frame_modules[frame];
	if (item->head.guessed > 0)
		return SESSION_AUDIT_GUESSED;
	if (module == STACK_MODULE_NONE)
		return SESSION_AUDIT_UNMAPPED;
	if (module_map_get(audit->modules, module)->path[0] != '/')
		return SESSION_AUDIT_VDSO;
	for (uint32_t i = 0; i < item->module_count; i++)
		if (item->modules[i].module == module && item->modules[i].has_file)
			return SESSION_AUDIT_REASONS;
	return SESSION_AUDIT_NO_FILE;
}

void session_audit_judged(struct session_audit *audit, struct session_audit_item *item,
	enum session_audit_verdict verdict, bool no_rule, uint32_t frames)
{
	enum session_audit_reason reason = SESSION_AUDIT_REASONS;
	if (verdict == SESSION_AUDIT_LONGER && no_rule)
		reason = obstacle(audit, item, frames - 1);
	audit->stats.pending--;
	audit->stats.frames += frames;
	if (reason != SESSION_AUDIT_REASONS)
		audit->stats.unjudged[reason]++;
	else
		audit->stats.verdicts[verdict]++;
	if (verdict == SESSION_AUDIT_AGREED)
		audit->stats.cut_short += is_cut_short(item);
	/* Whose rule led to two different callers. */
	if (verdict == SESSION_AUDIT_DIFFERENT)
		capture_tally_at(audit->tally, item->frame_modules[frames - 1])->disagreed++;
	session_audit_free_item(item);
}

void session_audit_given_up(struct session_audit *audit, struct session_audit_item *item,
	enum session_audit_reason reason)
{
	audit->stats.pending--;
	audit->stats.unjudged[reason]++;
	session_audit_free_item(item);
}
