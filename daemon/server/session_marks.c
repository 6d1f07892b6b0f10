/* A worker's marks are copied whole, then looked at: its seals tell what was being written meanwhile, and a worker that
 * makes up marks can only name windows of its own. Those of clients are as much in its hands: they are read once, when the
 * worker attaches, and believed no more than its own. */
#include "server/session_marks.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ingest/segment_map.h"
#include "server/wall_clock.h"

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

/* As the wire has it, without its atomics: this is a copy. */
struct copied_mark {
	uint64_t seal, id, time_ns, name[5];
};

struct copied_marks {
	uint64_t made, reserved[7];
	struct copied_mark marks[WIRE_MARKS_MAX];
};

_Static_assert(sizeof(struct copied_marks) == sizeof(struct wire_marks), "a copy of all");

/* False: it is none. */
static bool take(const struct copied_mark *mark, struct session_mark *out)
{
	char name[WIRE_MARK_NAME_MAX + 2] = {0};
	if (mark->id == 0 || mark->seal != wire_mark_seal(mark->id, mark->time_ns, mark->name))
		return false;
	memcpy(name, mark->name, sizeof mark->name);
	if (!session_marks_is_name(name))
		return false;
	put(out, name, mark->id);
	return true;
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
		marks->worker_count += take(&copy->marks[i], &marks->workers[marks->worker_count]);
}

static bool are_kept(const struct segment_map *segment)
{
	return segment != NULL && segment_map_info(segment)->minor >= WIRE_CLIENT_MARKS_MINOR;
}

static struct session_mark *given(struct session_marks *marks)
{
	if (marks->given == NULL)
		marks->given = alloc_zeroed(WIRE_MARKS_MAX, sizeof *marks->given);
	return marks->given;
}

bool session_marks_begin(struct session_marks *marks, const struct segment_map *segment)
{
	if (!are_kept(segment) ||
		segment_map_read_definitions(segment, WIRE_CLIENT_MARKS_OFFSET, &marks->given_count,
			sizeof marks->given_count) < 0 ||
		marks->given_count == 0)
		return false;
	_cleanup_free_ struct copied_marks *copy = alloc_zeroed(1, sizeof *copy);
	if (segment_map_read_definitions(segment, WIRE_CLIENT_MARKS_OFFSET, copy, sizeof *copy) < 0)
		return true;
	for (uint32_t i = 0; i < WIRE_MARKS_MAX; i++)
		take(&copy->marks[i], &given(marks)[i]);
	return true;
}

/* Where the next one goes is written first: so a daemon that is killed in between loses none that was answered. */
static void keep(const struct session_marks *marks, const struct segment_map *segment,
	const struct session_mark *mark, uint64_t place)
{
	struct copied_mark copy = {.id = mark->id, .time_ns = wall_clock_monotonic_ns()};
	memcpy(copy.name, mark->name, sizeof mark->name);
	copy.seal = wire_mark_seal(copy.id, copy.time_ns, copy.name);
	if (segment_map_write_definitions(segment, WIRE_CLIENT_MARKS_OFFSET, &marks->given_count,
		    sizeof marks->given_count) == 0 &&
		*mark->name != '\0')
		segment_map_write_definitions(segment,
			WIRE_CLIENT_MARKS_OFFSET + offsetof(struct wire_marks, marks) +
				place * sizeof copy,
			&copy, sizeof copy);
}

void session_marks_give(struct session_marks *marks, const struct segment_map *segment,
	const char *name, uint64_t id)
{
	uint64_t place = marks->given_count % WIRE_MARKS_MAX;
	struct session_mark mark;
	put(&mark, name, id);
	if (*name != '\0')
		given(marks)[place] = mark;
	if (*name != '\0' || marks->given_count == 0)
		marks->given_count++;
	if (are_kept(segment))
		keep(marks, segment, &mark, place);
}

static void look(const struct session_mark *marks, uint32_t count, const char *name, uint64_t *id)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(marks[i].name, name) == 0 && marks[i].id > *id)
			*id = marks[i].id;
}

bool session_marks_find(const struct session_marks *marks, const char *name, uint64_t *id)
{
	*id = 0;
	look(marks->given, marks->given != NULL ? WIRE_MARKS_MAX : 0, name, id);
	look(marks->workers, marks->worker_count, name, id);
	return *id > 0;
}
