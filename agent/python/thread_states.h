/*
 * The interpreter's functions that tell a thread's state, by names that differ among versions. What is found may be
 * called under the re-entry guard: none of it allocates, waits or needs the GIL. Looked up where calls of the loader
 * are legal.
 */
#pragma once
#include <stdbool.h>

struct thread_states {
	/* From 3.12 on the calling thread's, before that the GIL's holder's. */
	void *(*current)(void);
	void *(*own)(void);  /* PyGILState_GetThisThreadState */
	bool current_is_own; /* for certain, by its name: from 3.13 on */
};

/* False: `object` has not got both. May leave an error for dlerror(). */
bool thread_states_find(void *object, struct thread_states *out);
