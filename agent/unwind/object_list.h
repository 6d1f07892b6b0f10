/*
 * Which loaded object covers a pc, for a loader that does not answer that without its lock: a list
 * of the objects' code, made when they change and read by walks. For objects alone.
 *
 * Making it takes the loader's lock and may wait for it, so it happens at load, after a dlopen and
 * around a dlclose, never in a hook. find() is lock-free, for any thread, also in a signal handler
 * and in a forked child, whatever other threads were doing then: what it reads is never half made.
 *
 * Bounds: 80 KiB that are not touched unless needed; objects beyond OBJECT_LIST_MAX are not found.
 *
 *   field      writer                reader     order
 *   current    holder of the         any walk   [OBJECT-1] release/acquire: a list before the word
 *              loader's lock                    that names it
 *   entries    holder of the         any walk   [OBJECT-2] release/acquire: a word that takes a
 *              loader's lock                    list out of use, before the list is made anew; so
 *                                               a reader of a mixture sees another word afterwards
 *   count      as entries            any walk   [OBJECT-2]
 *   initial    whoever sets up       any walk   relaxed, covered by [OBJECT-1]: made once
 *   closing    holder of the         the same   relaxed: the lock orders it
 *              loader's lock
 *
 * While a dlclose is under way only what was there at load is found: it is never unloaded, and
 * nobody knows what else is about to be. A child that another thread forked meanwhile stays with
 * that.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "unwind/cfi.h"

enum { OBJECT_LIST_MAX = 1024 };

/* Once, at load; false: the loader cannot be asked. */
bool object_list_init(void);

/* After a dlopen; around a dlclose. */
void object_list_update(void);
void object_list_close_begin(void);
void object_list_close_end(void);

/* Whether a library that was loaded on the agent's behalf could miss what its dependencies are
 * searched by: an object's DT_RPATH serves what it loads itself. The program's own serves all. */
bool object_list_has_rpath(void);

/* 0; -ENOENT: no object covers `pc`; -ENOSYS: there is no list. */
int object_list_find(uintptr_t pc, struct cfi_object *object);
