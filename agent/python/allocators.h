/*
 * Takes over the tables of an interpreter's OBJ and MEM domains, from which small objects come that
 * never reach malloc. The RAW domain ends in malloc, whose hooks see it, and stays as it is.
 *
 * Twice at most: as soon as the interpreter is in the process, before it has begun; and, if it has
 * put in other tables meanwhile (PYTHONMALLOC, -X dev), once more by the first slow path of a
 * thread that holds its lock. Never again after that: what is found then may have been put on top
 * of ours, which would then be called by itself without end.
 *
 *   field  writer                       reader      order
 *   phase  who loads; slow paths        slow paths  [OBJ-1] acquire/release: what is in the tables
 *   state  the same                     slow paths  relaxed: for a person
 *   looks, quiet, decisions             slow paths  relaxed: when to look, not what is right
 */
#pragma once
#include <stdbool.h>

/* Once, where calls of the loader are legal: at load after set-up, or when the interpreter has been found
 * in an object that was dlopened, and may have `started`. `object`: where to find its functions, a handle of the
 * loader's. `wanted`: not SPPROF_PYTHON_OBJECTS=0. True: there is one, and it should be looked at soon. May leave
 * an error for dlerror() to report. */
bool allocators_load(void *object, bool started, bool wanted);
/* By slow paths, now and then. Any thread, any context; calls nothing that allocates, unless the
 * re-entry guard holds. */
void allocators_look(void);
