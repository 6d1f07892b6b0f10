/*
 * Named numbers for a StatsResponse. Names are stable, snake_case, with their unit; names and helps
 * are literals. One thread.
 */
#pragma once
#include <stddef.h>
#include "spprof/v1/api.pb-c.h"

struct counter_list {
	Spprof__V1__Counter *items;	/* owns */
	Spprof__V1__Counter **pointers; /* owns */
	size_t count, room;
};

#define COUNTER_LIST_INIT ((struct counter_list){0})

void counter_list_deinit(struct counter_list *list);
void counter_list_add(struct counter_list *list, const char *name, double value, const char *help);
/* Lends the counters to a message, until the list changes. */
void counter_list_lend(struct counter_list *list, Spprof__V1__StatsResponse *message);
