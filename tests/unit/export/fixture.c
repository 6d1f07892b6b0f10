/* Arrays grow while the snapshot is built, so what points into them is set by fixture_finish. */
#include "fixture.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/string_pool.h"
#include "export/key_set.h"

#define NANOSECONDS 1000000000ull

struct fixture {
	struct snapshot *snapshot;
	struct key_set locations; /* by their text */
	struct buffer location_table, lines, sites, indices, modules;
};

struct snapshot *fixture_snapshot(struct fixture *f)
{
	return f->snapshot;
}

const char *fixture_string(struct fixture *f, const char *s)
{
	return string_pool_add(f->snapshot->strings, s, strlen(s));
}

static void add_module(struct fixture *f, const char *path, const char *build_id, uint64_t start,
	uint64_t size, uint64_t offset)
{
	struct snapshot_module module = {.path = fixture_string(f, path),
		.build_id = fixture_string(f, build_id),
		.start = start,
		.end = start + size,
		.file_offset = offset};
	buffer_append(&f->modules, &module, sizeof(module));
}

struct fixture *fixture_new(void)
{
	struct fixture *f = alloc_zeroed(1, sizeof(*f));
	struct snapshot *s = f->snapshot = alloc_zeroed(1, sizeof(*s));
	string_pool_new(&s->strings);
	s->pid = 4242;
	s->uid = 1000;
	s->comm = fixture_string(f, "redis-server");
	s->exe = fixture_string(f, "/usr/bin/redis-server");
	s->command_line = fixture_string(f, "/usr/bin/redis-server *:6379");
	s->since_unix_ns = 1795425242ull * NANOSECONDS;
	s->taken_unix_ns = s->since_unix_ns + (3 * 3600 + 12 * 60) * NANOSECONDS;
	s->interval_bytes = FIXTURE_INTERVAL;
	s->quality.from_start = true;
	s->quality.unconfirmed_reason = "";
	/* not first: an exporter that needs the program first has to look for it */
	add_module(f, "/usr/lib/x86_64-linux-gnu/libc.so.6",
		"0123456789abcdef0123456789abcdef01234567", 0x7f0000026000, 0x155000, 0x26000);
	add_module(f, "/usr/bin/redis-server", "fedcba9876543210fedcba9876543210fedcba98",
		0x555555580000, 0x100000, 0x2c000);
	return f;
}

/* "function@file:line" */
static void add_line(struct fixture *f, char *text, bool python)
{
	struct snapshot_line line = {.function_system = "", .file = ""};
	char *file = strchr(text, '@');
	if (file) {
		*file++ = '\0';
		char *colon = strrchr(file, ':');
		if (colon) {
			*colon = '\0';
			line.line = (uint32_t)atoi(colon + 1);
			line.first_line = python ? line.line - line.line % 5 : 0;
		}
		line.file = fixture_string(f, file);
	}
	line.function = fixture_string(f, text);
	buffer_append(&f->lines, &line, sizeof(line));
}

static uint32_t add_location(struct fixture *f, const char *piece)
{
	uint32_t known = f->locations.count, number = key_set_add_string(&f->locations, piece);
	if (number < known)
		return number;
	bool in_library = strncmp(piece, "lib!", 4) == 0;
	bool python = strncmp(piece, "py!", 3) == 0;
	_cleanup_free_ char *text = alloc_strdup(piece + (in_library ? 4 : python ? 3 : 0));
	struct snapshot_location location = {
		.address =
			python ? 0
			       : (in_library ? 0x7f0000030000 : 0x555555590000) + number * 0x40ull,
		.module = python       ? UINT32_MAX
			  : in_library ? 0
				       : 1,
		.resolved = text[0] != '[' || python,
		.python = python,
	};
	char *rest = text;
	for (char *part; (part = strsep(&rest, "^")); location.line_count++)
		add_line(f, part, python);
	buffer_append(&f->location_table, &location, sizeof(location));
	f->snapshot->quality.locations_total++;
	f->snapshot->quality.locations_unresolved += !location.resolved;
	return number;
}

uint32_t fixture_site(struct fixture *f, const char *stack)
{
	struct snapshot_site site = {0};
	_cleanup_free_ char *text = alloc_strdup(stack);
	char *rest = *text ? text : NULL;
	for (char *piece; (piece = strsep(&rest, "|")); site.depth++) {
		uint32_t location = add_location(f, piece);
		buffer_append(&f->indices, &location, sizeof(location));
	}
	buffer_append(&f->sites, &site, sizeof(site));
	return (uint32_t)(f->sites.size / sizeof(site)) - 1;
}

void fixture_allocate(
	struct fixture *f, uint32_t site, uint64_t size, uint32_t samples, uint32_t live)
{
	struct snapshot_site *to = (struct snapshot_site *)f->sites.data + site;
	uint64_t interval = (uint64_t)f->snapshot->interval_bytes;
	for (uint32_t i = 0; i < samples; i++) {
		/* sizes that differ, as in a program */
		uint64_t varied = size + size / 8 * (i % 4);
		estimate_add(&to->cumulative, varied, interval);
		if (i < live)
			estimate_add(&to->live, varied, interval);
	}
	f->snapshot->quality.stacks_whole += samples;
}

static void set_pointers(struct fixture *f)
{
	struct snapshot *s = f->snapshot;
	struct snapshot_line *line = s->lines;
	for (uint32_t i = 0; i < s->location_count; i++) {
		s->locations[i].lines = line;
		line += s->locations[i].line_count;
	}
	const uint32_t *index = s->location_indices;
	for (uint32_t i = 0; i < s->site_count; i++) {
		s->sites[i].locations = index;
		index += s->sites[i].depth;
	}
}

#define HAND_OVER(f, from, to, count)                                                              \
	do {                                                                                       \
		size_t size_;                                                                      \
		(to) = (void *)buffer_take(&(f)->from, &size_);                                    \
		(count) = (uint32_t)(size_ / sizeof(*(to)));                                       \
	} while (0)

struct snapshot *fixture_finish(struct fixture *f)
{
	struct snapshot *s = f->snapshot;
	uint32_t unused;
	HAND_OVER(f, location_table, s->locations, s->location_count);
	HAND_OVER(f, lines, s->lines, unused);
	HAND_OVER(f, sites, s->sites, s->site_count);
	HAND_OVER(f, indices, s->location_indices, unused);
	HAND_OVER(f, modules, s->modules, s->module_count);
	(void)unused;
	set_pointers(f);
	snapshot_finish(s);
	key_set_deinit(&f->locations);
	free(f);
	return s;
}

struct snapshot *fixture_by_name(const char *name)
{
	static const struct {
		const char *name;
		struct snapshot *(*make)(void);
	} all[] = {
		{"empty", fixture_empty},
		{"redis", fixture_redis},
		{"cpp", fixture_cpp},
		{"python", fixture_python},
		{"trouble", fixture_trouble},
		{"hostile", fixture_hostile},
		{"deep", fixture_deep},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(name, all[i].name) == 0)
			return all[i].make();
	return NULL;
}
