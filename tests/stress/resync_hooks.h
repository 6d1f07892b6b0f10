/*
 * What agent/tracker.c does with the agent's modules, for blocks whose addresses, numbers and stacks are
 * the caller's. It insists on what the hooks may rely on: a block that lives is found, and none is
 * born where one lives. Any thread, and its signal handlers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "heap_map.h"
#include "resync.h"
#include "segment.h"
#include "stack_store.h"

struct hooks {
	struct segment segment;
	struct heap_map map;
	struct stack_store stacks;
	struct resync resync;
	uint64_t seed; /* named when something is wrong */
};

/* Ends the program unless it is so. */
void hooks_must(const struct hooks *hooks, bool fine, const char *what);

/* `entry` says all but id, thread and stack. */
void hooks_birth(struct hooks *hooks, struct heap_map_entry *entry, const struct stack_view *stack);
void hooks_death(struct hooks *hooks, uintptr_t address);
/* A realloc succeeded: `slot` was suspended. */
void hooks_replaced(struct hooks *hooks, struct wire_slot *slot, uintptr_t address);
void hooks_turn(struct hooks *hooks);

/* The halves of a death. */
struct wire_slot *hooks_take(struct hooks *hooks, uintptr_t address);
void hooks_retire(struct hooks *hooks, struct wire_slot *slot);

void hooks_publish_levels(struct hooks *hooks);
