/* A worker's marks are copied whole, then looked at: its seals tell what was being written meanwhile, and a worker that
 * makes up marks can only name windows of its own. */
#include "server/session_marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ingest/segment_map.h"

void session_marks_deinit(struct session_marks *marks)
{
	free(marks->given);
	free(marks->workers);
	*marks = (struct session_marks){0};
}

bool session_marks_is_name(const char *name)
{
	size_t size = strlen(name);
	for (size_t i = 0; i < size; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return size > 0 && size <= WIRE_MARK_NAME_MAX;
}

static void put(struct session_mark *mark, const char *name, uint64_t id)
{
	*mark = (struct session_mark){.id = id};
	memcpy(mark->name, name, strlen(name));
}

void session_marks_give(struct session_marks *marks, const char *name, uint64_t id)
{
	if (marks->given == NULL)
		marks->given = alloc_zeroed(SESSION_MARKS_MAX, sizeof *marks->given);
	put(&marks->given[marks->given_count++ % SESSION_MARKS_MAX], name, id);
}

/* As the wire has it, without its atomics: this is a copy. */
struct copied_mark {
	uint64_t seal, id, time_ns, name[5];
};

struct copied_marks {
	uint64_t made, reserved[7];
	struct copied_mark marks[WIRE_MARKS_MAX];
};

_Static_assert(sizeof(struct copied_marks) == sizeof(struct wire_marks), "a copy of all");

static void take(struct session_marks *marks, const struct copied_mark *mark)
{
	char name[WIRE_MARK_NAME_MAX + 2] = {0};
	if (mark->id == 0 || mark->seal != wire_mark_seal(mark->id, mark->time_ns, mark->name))
		return;
	memcpy(name, mark->name, sizeof mark->name);
	if (session_marks_is_name(name))
		put(&marks->workers[marks->worker_count++], name, mark->id);
}

void session_marks_read(struct session_marks *marks, const struct segment_map *segment)
{
	_cleanup_free_ struct copied_marks *copy = alloc_zeroed(1, sizeof *copy);
	if (segment_map_read_definitions(segment, 0, copy, sizeof *copy) < 0 || copy->made == 0)
		return;
	if (marks->workers == NULL)
		marks->workers = alloc_zeroed(WIRE_MARKS_MAX, sizeof *marks->workers);
	marks->worker_count = 0;
	for (uint32_t i = 0; i < WIRE_MARKS_MAX; i++)
		take(marks, &copy->marks[i]);
}

static void look(const struct session_mark *marks, uint64_t count, const char *name, uint64_t *id)
{
	for (uint64_t i = 0; i < count; i++)
		if (strcmp(marks[i].name, name) == 0 && marks[i].id > *id)
			*id = marks[i].id;
}

bool session_marks_find(const struct session_marks *marks, const char *name, uint64_t *id)
{
	uint64_t given =
		marks->given_count < SESSION_MARKS_MAX ? marks->given_count : SESSION_MARKS_MAX;
	*id = 0;
	look(marks->given, given, name, id);
	look(marks->workers, marks->worker_count, name, id);
	return *id > 0;
}
