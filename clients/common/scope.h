/* Cleanup attributes and the hand-over idiom of the client programs, and allocation that ends the
 * program instead of failing. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

/* `_cleanup_free_ char *s = …; return TAKE(s);` */
void scope_free(void *pointer_to_pointer);
/* Closes *fd unless it is negative; keeps errno. */
void scope_close(int *fd);

#define _cleanup_free_	   __attribute__((cleanup(scope_free)))
#define _cleanup_close_	   __attribute__((cleanup(scope_close)))
#define _cleanup_(release) __attribute__((cleanup(release)))

#define TAKE(p)                                                                                    \
	({                                                                                         \
		__typeof__(p) take_ = (p);                                                         \
		(p) = NULL;                                                                        \
		take_;                                                                             \
	})

void *scope_alloc(size_t size);
char *scope_strdup(const char *s);
char *scope_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
