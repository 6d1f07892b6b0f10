/* malloc that cannot fail: reports and ends the process. Sizes from outside are bounded before they
 * come here. */
#pragma once
#include <stddef.h>

void *alloc_zeroed(size_t count, size_t size);
void *alloc_resize(void *p, size_t count, size_t size);
char *alloc_strdup(const char *s);

/* Cleanup attributes and the hand-over idiom: `_cleanup_free_ char *s = …; return TAKE(s);` */
void alloc_cleanup(void *pointer_to_pointer);
#define _cleanup_free_ __attribute__((cleanup(alloc_cleanup)))
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})
