/*
 * Which loaded object covers a pc. The seam between the walk and the dynamic loader: glibc 2.35 and
 * later answer in _dl_find_object(), which takes no lock and is async-signal-safe. Where it is
 * missing the objects are listed (object_list.h), and whoever loads and unloads says so.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "unwind/cfi.h"

/* Once, at load. Looks functions up by dlsym, so it may allocate and leave an error for
 * dlerror(). */
void objects_init(void);

/* 0; -ENOENT: no object covers `pc`; -ENOSYS: unknown. Any thread; owns and keeps nothing. */
int objects_find(uintptr_t pc, struct cfi_object *object);

/* Whether there is such a list. */
bool objects_are_listed(void);

/* Whether a dlopen of `file` is to be called by us and told of, not jumped to. The loader takes
 * whoever calls it into account, for names without a path, for $ORIGIN and for a DT_RPATH: those it
 * must hear of from the program itself. What is loaded so is found from the next call that is told
 * of. */
bool objects_may_open(const char *file);

/* After that, and before and after a dlclose. May wait for the loader's lock, as those do. */
void objects_opened(void);
void objects_closing(void);
void objects_closed(void);
