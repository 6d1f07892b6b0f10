/*
 * The files that the symbol client knows: by identity and by key, with what was answered and what
 * is still to be asked. Keeps the bounds on files, descriptors and memory by giving up what was
 * used least recently. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "base/hash_index.h"
#include "server/debug_file.h"
#include "server/symbol_cache.h"
#include "server/symbol_client.h"

/* How far the helper is with a file. */
enum symbol_files_stage {
	SYMBOL_FILES_CLOSED,	/* the helper has not got it */
	SYMBOL_FILES_OPENING,	/* sent */
	SYMBOL_FILES_SEARCHING, /* separate debug information is looked for, in another thread */
	SYMBOL_FILES_FOUND,	/* `found` is to be sent */
	SYMBOL_FILES_ATTACHING, /* sent */
	SYMBOL_FILES_OPEN,	/* can be asked */
	SYMBOL_FILES_ASKED,	/* asked */
	SYMBOL_FILES_GIVEN_UP,	/* will never be known */
};

struct symbol_files_entry {
	TAILQ_ENTRY(symbol_files_entry) by_use;	 /* oldest first */
	TAILQ_ENTRY(symbol_files_entry) by_turn; /* waiting to be sent something; if in_turn */
	bool in_turn;
	uint32_t key;
	struct symbol_file identity;
	int fd; /* owns; -1: closed */
	enum symbol_files_stage stage;
	char build_id[2 * DEBUG_FILE_ID_BYTES + 1];
	int found; /* owns; -1 unless stage is FOUND */
	bool found_supplement;
	unsigned deaths; /* of the helper over it, since its last answer */
	unsigned stale;	 /* times it was evicted from the helper, since its last answer */
	unsigned pins;	 /* resolves that wait for it */

	struct symbol_cache cache;
	size_t cache_bytes; /* as last added to the sum */
	uint64_t *queue;    /* owns; offsets to be answered, those of the request in flight first */
	uint32_t queue_head, queue_count, queue_capacity; /* count without what is before head */
	uint32_t in_flight;				  /* of the current request */
	uint64_t asked, answered; /* offsets ever; a ticket is `asked` after the offset was added */
};

struct symbol_files {
	struct symbol_files_entry *slots[SYMBOL_CLIENT_FILES];
	struct hash_index by_identity; /* to slots */
	TAILQ_HEAD(symbol_files_list, symbol_files_entry) by_use;
	struct symbol_files_list by_turn;
	uint32_t used;	      /* slots that were ever filled */
	uint32_t descriptors; /* of files; those found for them live shortly */
	uint32_t queued;      /* offsets in all queues */
	size_t cache_bytes;
	size_t cache_limit;
};

void symbol_files_init(struct symbol_files *files, size_t cache_limit);
void symbol_files_deinit(struct symbol_files *files);

struct symbol_files_entry *symbol_files_find(
	const struct symbol_files *files, const struct symbol_file *identity);
struct symbol_files_entry *symbol_files_get(const struct symbol_files *files, uint32_t key);
/* NULL: all are in use. */
struct symbol_files_entry *symbol_files_add(
	struct symbol_files *files, const struct symbol_file *identity);
void symbol_files_touch(struct symbol_files *files, struct symbol_files_entry *entry);

/* Takes `fd` over; closes it if the entry needs none or all descriptors are in use. */
void symbol_files_set_fd(struct symbol_files *files, struct symbol_files_entry *entry, int fd);
/* Without waiting for it. False: too many closes hang already; it is still open, try again. */
bool symbol_files_close_fd(struct symbol_files *files, struct symbol_files_entry *entry);
void symbol_files_close_found(struct symbol_files_entry *entry);

/* The ticket, or 0: there is no room. The entry must be pinned. */
uint64_t symbol_files_ask(
	struct symbol_files *files, struct symbol_files_entry *entry, uint64_t offset);
/* The answer to the first offset in the queue, which it must name. False if memory had no room for
 * it. */
bool symbol_files_answer(struct symbol_files *files, struct symbol_files_entry *entry,
	const Spprof__V1__SymbolizerAnswer *answer);
/* Nothing queued will be answered. Returns how many that were. */
uint32_t symbol_files_drop_queue(struct symbol_files *files, struct symbol_files_entry *entry);

/* Forgets what is queued and known; its stage stays GIVEN_UP. */
void symbol_files_give_up(struct symbol_files *files, struct symbol_files_entry *entry);
/* For a log line: its path as far as the kernel tells it. Returns `text`. */
const char *symbol_files_describe(const struct symbol_files_entry *entry, char *text, size_t room);

/* Files that the helper has open come first: it closes the ones used least recently, and reading
 * one again is what costs most. */
void symbol_files_take_turn(struct symbol_files *files, struct symbol_files_entry *entry);
void symbol_files_leave_turn(struct symbol_files *files, struct symbol_files_entry *entry);
