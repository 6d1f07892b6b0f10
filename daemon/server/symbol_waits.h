/*
 * The resolves in progress: which tickets of which files each waits for, until when, and whom to
 * tell. A file that a resolve names is pinned until its callback has returned. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "base/hash_index.h"

struct symbol_files_entry;

struct symbol_waits_need {
	struct symbol_files_entry *file; /* pinned */
	uint64_t ticket;		 /* the file's `answered` must get this far */
};

struct symbol_waits_item {
	LIST_ENTRY(symbol_waits_item) all;
	uint64_t handle;
	uint64_t deadline_ms; /* of the loop's clock */
	void (*done)(void *data);
	void *data;
	struct symbol_waits_need *needs; /* owns; one per file */
	size_t need_count;
	size_t need_capacity;
	struct hash_index by_file; /* keys to positions in needs */
	size_t met;		   /* needs before this one are met for good */
	bool told;		   /* its callback is running */
};

struct symbol_waits {
	LIST_HEAD(, symbol_waits_item) all;
	uint64_t last_handle;
	bool ended;
};

void symbol_waits_init(struct symbol_waits *waits);
void symbol_waits_deinit(struct symbol_waits *waits);
struct symbol_waits_item *symbol_waits_add(
	struct symbol_waits *waits, uint64_t deadline_ms, void (*done)(void *), void *data);
/* `ticket` 0: the file is only pinned. */
void symbol_waits_need(
	struct symbol_waits_item *wait, struct symbol_files_entry *file, uint64_t ticket);
void symbol_waits_cancel(struct symbol_waits *waits, uint64_t handle);
/* Whether one is answered or over at `now_ms`. */
bool symbol_waits_any_due(struct symbol_waits *waits, uint64_t now_ms);
/* Calls back for one that is. The callback may do all that callers of the client may, ending the
 * waits included; `waits` must stay allocated until this returns. False: there is none (any more).
 */
bool symbol_waits_tell_one(struct symbol_waits *waits, uint64_t now_ms);
/* UINT64_MAX if nobody waits. */
uint64_t symbol_waits_next_deadline(const struct symbol_waits *waits);
bool symbol_waits_any(const struct symbol_waits *waits);
