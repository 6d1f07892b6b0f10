#define _GNU_SOURCE
#include "python/thread_states.h"
#include <dlfcn.h>

bool thread_states_find(void *object, struct thread_states *out)
{
	/* The first is that of 3.13 on, the second that of 3.9 to 3.12. */
	void *sure = dlsym(object, "PyThreadState_GetUnchecked");
	void *current = sure ? sure : dlsym(object, "_PyThreadState_UncheckedGet");
	void *own = dlsym(object, "PyGILState_GetThisThreadState");

	if (!current || !own)
		return false;
	*out = (struct thread_states){
		.current = (__typeof__(out->current))current,
		.own = (__typeof__(out->own))own,
		.current_is_own = sure,
	};
	return true;
}
