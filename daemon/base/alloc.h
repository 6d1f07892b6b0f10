/* malloc that cannot fail: reports and ends the process. Sizes from outside are bounded before they
 * come here. */
#pragma once
#include <stddef.h>

void *alloc_zeroed(size_t count, size_t size);
void *alloc_resize(void *p, size_t count, size_t size);
char *alloc_strdup(const char *s);

/* Sees to it that there is room for one more than `count` items, by doubling; of any unsigned type. */
#define ALLOC_GROW(items, room, count)                                                             \
	do {                                                                                       \
		if ((count) < (room))                                                              \
			break;                                                                     \
		(room) = (room) > 0 ? (room)*2 : 16;                                               \
		(items) = alloc_resize((items), (room), sizeof(*(items)));                         \
	} while (0)

/* Cleanup attributes and the hand-over idiom: `_cleanup_free_ char *s = …; return TAKE(s);` */
void alloc_cleanup(void *pointer_to_pointer);
#define _cleanup_free_ __attribute__((cleanup(alloc_cleanup)))
#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})
