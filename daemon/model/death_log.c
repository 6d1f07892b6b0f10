/* A ring once it is as large as it may be; `first` is the oldest then. */
#include "model/death_log.h"
#include <errno.h>
#include <stdlib.h>
#include "base/alloc.h"

struct logged {
	struct heap_birth birth;
	uint64_t time_ns;
};

struct death_log {
	uint64_t since_id;
	uint64_t dropped_id;   /* the highest of those that made room */
	struct logged *deaths; /* owns */
	uint32_t count, capacity, max, first;
};

int death_log_new(struct death_log **out, uint64_t since_id, uint32_t max)
{
	if (max == 0)
		return -EINVAL;
	struct death_log *log = alloc_zeroed(1, sizeof(*log));
	log->since_id = since_id;
	log->max = max;
	*out = log;
	return 0;
}

struct death_log *death_log_free(struct death_log *log)
{
	if (log)
		free(log->deaths);
	free(log);
	return NULL;
}

static void grow(struct death_log *log)
{
	log->capacity = log->capacity ? log->capacity * 2 : 64;
	if (log->capacity > log->max)
		log->capacity = log->max;
	log->deaths = alloc_resize(log->deaths, log->capacity, sizeof(log->deaths[0]));
}

void death_log_add(struct death_log *log, const struct heap_birth *birth, uint64_t time_ns)
{
	if (birth->id < log->since_id)
		return;
	if (log->count == log->capacity && log->capacity < log->max)
		grow(log);
	uint32_t at = log->count;
	if (log->count == log->max) {
		at = log->first;
		log->first = (log->first + 1) % log->max;
		if (log->deaths[at].birth.id > log->dropped_id)
			log->dropped_id = log->deaths[at].birth.id;
	} else {
		log->count++;
	}
	log->deaths[at] = (struct logged){.birth = *birth, .time_ns = time_ns};
}

bool death_log_covers(const struct death_log *log, uint64_t since_id)
{
	return since_id >= log->since_id && since_id > log->dropped_id;
}

void death_log_each(const struct death_log *log,
	void (*visit)(const struct heap_birth *birth, uint64_t time_ns, void *data), void *data)
{
	for (uint32_t i = 0; i < log->count; i++)
		visit(&log->deaths[i].birth, log->deaths[i].time_ns, data);
}

size_t death_log_bytes(const struct death_log *log)
{
	return sizeof(*log) + log->capacity * sizeof(log->deaths[0]);
}
