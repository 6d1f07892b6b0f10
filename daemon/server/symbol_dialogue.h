/*
 * The conversation with the helper: starts it, sends it files and offsets as far as its window
 * goes, files what it answers, and decides what its silence or its end mean. Part of the symbol
 * client. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "server/debug_search.h"
#include "server/symbol_files.h"

#define SYMBOL_DIALOGUE_WINDOW 4 /* requests in flight, of different files */

struct symbol_helper;
struct uv_loop_s;

struct symbol_dialogue {
	struct uv_loop_s *loop;	    /* borrows */
	struct symbol_files *files; /* borrows */
	char *program, *debug_root; /* owns */
	uint32_t stall_ms;
	void (*changed)(void *data); /* called from the loop after files have changed */
	void *data;

	struct symbol_helper *helper; /* owns; NULL: not running */
	bool ready;		      /* it has said so */
	/* oldest first; each has a queue, so none is evicted */
	struct symbol_files_entry *in_flight[SYMBOL_DIALOGUE_WINDOW];
	unsigned in_flight_count;
	uint64_t stalls_at_ms; /* UINT64_MAX: nothing is awaited */
	uint64_t starts_at_ms; /* not before */
	unsigned failures;     /* ends of the helper since its last answer */
	struct debug_searches searches;
	struct symbol_client_stats stats;
};

/* All but the private fields are filled in; strings are taken over. */
void symbol_dialogue_init(struct symbol_dialogue *dialogue);
void symbol_dialogue_deinit(struct symbol_dialogue *dialogue);
/* Sends what can be sent, starting the helper if needed. */
void symbol_dialogue_run(struct symbol_dialogue *dialogue);
/* The file has a longer queue. */
void symbol_dialogue_wake(struct symbol_dialogue *dialogue, struct symbol_files_entry *file);
void symbol_dialogue_set_stage(struct symbol_dialogue *dialogue, struct symbol_files_entry *file,
	enum symbol_files_stage stage);
/* Ends a helper that has stopped answering. */
void symbol_dialogue_check(struct symbol_dialogue *dialogue);
/* When to call check or run, by the loop's clock; UINT64_MAX: not before something happens. */
uint64_t symbol_dialogue_next_ms(const struct symbol_dialogue *dialogue);
/* Ends the helper if there is nothing to do. */
void symbol_dialogue_rest(struct symbol_dialogue *dialogue);
