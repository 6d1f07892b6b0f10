/*
 * Snapshots for the exporters' tests, built piece by piece and owned by the caller after
 * fixture_finish. A stack is written innermost first, as "function@file:line|function@file:line|…";
 * "function" alone has no file, "a@f:1^b@f:2" is a location where a was inlined into b, and a
 * leading "lib!" puts a frame into the second module, "py!" makes it one of Python's. Equal pieces of text are one
 * location.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model/snapshot.h"

#define FIXTURE_INTERVAL 524288u

struct fixture;

/* redis-server[4242], loaded at 2026-11-23 09:14:02 UTC, taken 3 h 12 min later, nothing lost. */
struct fixture *fixture_new(void);
struct snapshot *fixture_snapshot(
	struct fixture *f); /* to change the header before fixture_finish */
const char *fixture_string(struct fixture *f, const char *s);
/* "" is the site "[other]". Returns the site's number. */
uint32_t fixture_site(struct fixture *f, const char *stack);
/* `samples` of `size` bytes, `live` of them not freed. */
void fixture_allocate(
	struct fixture *f, uint32_t site, uint64_t size, uint32_t samples, uint32_t live);
struct snapshot *fixture_finish(struct fixture *f);

/* Ready-made ones. */
struct snapshot *fixture_empty(void);
struct snapshot *fixture_redis(void); /* 24 sites with names as redis 7 has them */
struct snapshot *fixture_cpp(void); /* long C++ names, the runtime's wrappers, inlined functions */
struct snapshot *fixture_python(void);	/* Python above and below native code */
struct snapshot *fixture_trouble(void); /* everything that a note is about */
struct snapshot *fixture_hostile(void); /* names made to break a format or a terminal */
struct snapshot *fixture_deep(void);	/* one stack of 512 locations */
struct snapshot *fixture_large(uint32_t sites);
/* By the name after "fixture_", or NULL. */
struct snapshot *fixture_by_name(const char *name);
