/* glibc declares the function only since it has it; so its interface is written down here. */
#define _GNU_SOURCE
#include "unwind/objects.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* glibc's ABI, <dlfcn.h>; only x86-64 does without the base of data-relative pointers. */
struct found {
	unsigned long long flags;
	void *map_start, *map_end; /* of the mapping around the address */
	void *link_map;
	void *eh_frame; /* the segment PT_GNU_EH_FRAME: .eh_frame_hdr */
#ifndef __x86_64__
	void *eh_dbase;
#endif
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

void objects_init(void)
{
	/* Relaxed: what the pointer leads to is code that was there before. */
	atomic_store_explicit(&find, (find_function *)dlsym(RTLD_DEFAULT, "_dl_find_object"),
		memory_order_relaxed);
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
		return -ENOSYS;
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
