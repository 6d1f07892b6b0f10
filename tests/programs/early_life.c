/*
 * Allocates before any library's constructor has run, in the places that hurt: under libc's lock
 * over locales, with errno set, and in a thread. Prints TAP; bare and under the agent it says the
 * same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int errno_after_malloc;
static locale_t early_locale;

static void *allocate(void *unused)
{
	(void)unused;
	return malloc(100);
}

static void before_all_constructors(void)
{
	alarm(20); /* a lock left behind must not hang whoever runs this */
	/* Allocates while it holds the lock. */
	early_locale = newlocale(LC_ALL_MASK, "POSIX", (locale_t)0);
	errno = 42;
	void *block = malloc(100);
	errno_after_malloc = errno;
	free(block);
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(
	void) = before_all_constructors;

static void check(int ok, const char *what)
{
	static int tests;

	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
}

int main(void)
{
	pthread_t thread;
	void *block = NULL;

	check(early_locale != (locale_t)0, "a locale is made before any constructor");
	check(errno_after_malloc == 42, "the first malloc of a program keeps errno");
	check(dlerror() == NULL, "main finds no error of the dynamic linker");
	check(setlocale(LC_ALL, "C") && setlocale(LC_ALL, "POSIX"),
		"the lock over locales is free again");
	check(pthread_create(&thread, NULL, allocate, NULL) == 0 &&
			pthread_join(thread, &block) == 0 && block,
		"a thread allocates");
	free(block);
	freelocale(early_locale);
	puts("1..5");
	return 0;
}
