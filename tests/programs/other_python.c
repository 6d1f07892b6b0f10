/*
 * A program that looks like an interpreter that is not to be read, by the names that it exports: PyPy (no PRETENDED), or
 * CPython of version PRETENDED with a code object of no size that a release has. Waits for a line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default"), used))

#ifdef PRETENDED
EXPORT const unsigned long Py_Version = PRETENDED;
EXPORT uint64_t PyCode_Type[64] = {0, 0, 0, 0, 4711};

/* What they are called by; nobody may call them. */
#define UNWANTED(name)                                                                             \
	EXPORT void name(void)                                                                     \
	{                                                                                          \
		abort();                                                                           \
	}
UNWANTED(PyGILState_GetThisThreadState)
UNWANTED(_PyThreadState_UncheckedGet)
UNWANTED(PyThreadState_GetUnchecked)
UNWANTED(_Py_IsFinalizing)
UNWANTED(Py_IsFinalizing)
#else
EXPORT void pypy_execute_source(void)
{
	abort();
}
#endif

int main(void)
{
	for (int i = 0; i < 1000; i++) {
		void *volatile block = malloc(10000);

		free(block);
	}
	puts("{\"sync\": true}");
	fflush(stdout);
	return getchar() == EOF;
}
