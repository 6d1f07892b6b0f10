/* glibc declares the function only since it has it; so its interface is written down here. */
#define _GNU_SOURCE
#include "unwind/objects.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "unwind/object_list.h"

/* Tests of the list look for a function that nobody has. */
#ifndef OBJECTS_FINDER
#define OBJECTS_FINDER "_dl_find_object"
#endif

/* glibc's ABI, <dlfcn.h>; x86-64 and aarch64 do without the base of data-relative pointers. */
struct found {
	unsigned long long flags;
	void *map_start, *map_end; /* of the mapping around the address */
	void *link_map;
	void *eh_frame; /* the segment PT_GNU_EH_FRAME: .eh_frame_hdr */
	unsigned long long reserved[7];
};

#ifdef DLFO_STRUCT_HAS_EH_DBASE
_Static_assert(sizeof(struct found) >= sizeof(struct dl_find_object), "glibc fills in all of it");
_Static_assert(
	offsetof(struct found, map_end) == offsetof(struct dl_find_object, dlfo_map_end) &&
		offsetof(struct found, eh_frame) == offsetof(struct dl_find_object, dlfo_eh_frame),
	"glibc's layout");
#endif

typedef int find_function(void *pc, struct found *result);

static _Atomic(find_function *) find;
static _Atomic bool has_list;

void objects_init(void)
{
	find_function *function = (find_function *)dlsym(RTLD_DEFAULT, OBJECTS_FINDER);
	/* Relaxed: what the pointer leads to is code that was there before. */
	atomic_store_explicit(&find, function, memory_order_relaxed);
	/* Relaxed: set before there is anything to tell of. */
	if (!function)
		atomic_store_explicit(&has_list, object_list_init(), memory_order_relaxed);
}

bool objects_are_listed(void)
{
	return atomic_load_explicit(&has_list, memory_order_relaxed); /* relaxed: see above */
}

bool objects_may_open(const char *file)
{
	if (!objects_are_listed() || !file || !strchr(file, '/') || strchr(file, '$'))
		return false;
	return !object_list_has_rpath();
}

void objects_opened(void)
{
	if (objects_are_listed())
		object_list_update();
}

void objects_closing(void)
{
	if (objects_are_listed())
		object_list_close_begin();
}

void objects_closed(void)
{
	if (objects_are_listed())
		object_list_close_end();
}

static bool contains(const struct found *found, const void *address)
{
	return address >= found->map_start && address < found->map_end;
}

int objects_find(uintptr_t pc, struct cfi_object *object)
{
	struct found found;
	find_function *function = atomic_load_explicit(&find, memory_order_relaxed);
	if (!function)
		return object_list_find(pc, object);
	if (function((void *)pc, &found))
		return -ENOENT;
	void *eh_frame = found.eh_frame, *link_map = found.link_map;
	/* A program with holes between its segments is several mappings: its CFI has one of its
	 * own. */
	if (!contains(&found, eh_frame) &&
		(function(eh_frame, &found) || found.link_map != link_map))
		eh_frame = 0;
	object->start = (uintptr_t)found.map_start;
	object->end = (uintptr_t)found.map_end;
	object->frame_header = (uintptr_t)eh_frame;
	return 0;
}
