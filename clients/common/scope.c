#include "config.h"
#include "common/scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void scope_free(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void scope_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static void *checked(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return p;
}

void *scope_alloc(size_t size)
{
	return checked(calloc(1, size));
}

char *scope_strdup(const char *s)
{
	return checked(strdup(s));
}

char *scope_printf(const char *format, ...)
{
	char *out = NULL;
	va_list args;
	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		out = NULL;
	va_end(args);
	return checked(out);
}
