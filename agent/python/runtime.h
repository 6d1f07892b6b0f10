/*
 * Which CPython runs in this process, if one does, and how to read it. Looked for where calls of the loader are
 * legal: while setting up, and for programs that embed an interpreter whenever an object of that name dlopens
 * something (an interpreter does so for its first extension module). Never on a sampled path: that asks
 * runtime_current(), which is a load.
 *
 *   field      writer                        reader        order
 *   found      whoever finds an interpreter  sampled path  [PY-1] release/acquire: what was found
 *   stage      whoever looks                 the same      relaxed: whoever loses does not look
 *   verdict, version   whoever looks         whoever tells a segment   relaxed: for a person
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "python/layout.h"

struct segment;

/* What is looked up is called on sampled paths under the re-entry guard. None of it allocates, waits or needs the
 * GIL; but in an interpreter that was dlopened, current_state() may make a thread's first access to its TLS. */
struct runtime {
	struct layout layout;
	void *(*current_state)(
		void); /* from 3.12 on the calling thread's, before that the GIL's holder's */
	void *(*own_state)(void); /* PyGILState_GetThisThreadState */
	int (*is_finalizing)(void);
	uintptr_t code_type; /* PyCode_Type */
	uintptr_t evaluator_start,
		evaluator_end; /* where nothing else ties frames (LAYOUT_FRAME_OBJECTS) */
};

extern _Atomic(const struct runtime *) runtime_found;

/* NULL: there is none whose frames can be read. */
static inline const struct runtime *runtime_current(void)
{
	/* [PY-1] acquire: what was found; pairs with the release in runtime.c. */
	return atomic_load_explicit(&runtime_found, memory_order_acquire);
}

/* Once, while setting up; `frames` false: SPPROF_PYTHON=0. Calls the loader and may leave an error for dlerror(). */
void runtime_look(bool frames);
/* From dlopen, before the loader is called, which forgets errors that this may leave. True: an interpreter was found
 * in the object that `caller` lies in, whose handle is in `object`. That stays loaded from now on. */
bool runtime_look_at(const void *caller, void **object);
/* Tells whoever reads `segment` what is known. */
void runtime_tell(struct segment *segment);
