/*
 * The latest deaths of samples from a given id on, for questions about windows: what a window has
 * allocated and freed again. Grows up to a bound, then the oldest make room, and it is known up to
 * which id something is missing. Part of the heap model; not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "model/heap_model.h"

#define DEATH_LOG_MAX (1u << 16)

struct death_log;

/* Logs samples with since_id or a higher id; at most `max` of them. */
int death_log_new(struct death_log **out, uint64_t since_id, uint32_t max);
struct death_log *death_log_free(struct death_log *log);
/* time_ns 0: it is not known when. */
void death_log_add(struct death_log *log, const struct heap_birth *birth, uint64_t time_ns);
/* Whether every death of samples from this id on is in it. */
bool death_log_covers(const struct death_log *log, uint64_t since_id);
void death_log_each(const struct death_log *log,
	void (*visit)(const struct heap_birth *birth, uint64_t time_ns, void *data), void *data);
size_t death_log_bytes(const struct death_log *log);
