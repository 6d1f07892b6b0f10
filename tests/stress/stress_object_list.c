/*
 * Readers of the list of objects, some of them in signal handlers, while other threads load, unload
 * and have it made again. Whatever is found must be right: a mixture of two lists would show another
 * object's CFI. Prints TAP; SPPROF_STRESS=N does N times the work.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "support/tap_print.h"
#include "unwind/object_list.h"

enum { READERS = 3, TURNS = 400 };

static struct known {
	uintptr_t pc, header;
} known[4];

static _Atomic bool stop;
static _Atomic unsigned long found, missed, wrong, unloaded;

/* relaxed throughout: statistics, and a flag to end by */
static void add(_Atomic unsigned long *count)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void look_up_all(void)
{
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct cfi_object object;
		if (object_list_find(known[i].pc, &object))
			add(&missed);
		else if (object.frame_header != known[i].header || object.start > object.end)
			add(&wrong);
		else
			add(&found);
	}
}

static void on_signal(int number)
{
	(void)number;
	look_up_all();
}

static void *read_list(void *argument)
{
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
		look_up_all();
		if (i % 64 == 0)
			raise(SIGUSR1);
	}
	return argument;
}

static void *make_list(void *argument)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		object_list_update();
	return argument;
}

/* What is found of a library while it is there is found in its own bounds. */
static void open_and_close(const char *path)
{
	struct cfi_object object;
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	uintptr_t code = library ? (uintptr_t)dlsym(library, "unwind_lib_call") : 0;
	object_list_update();
	if (!code || object_list_find(code, &object))
		add(&missed);
	else
		add(object.frame_header >= object.start && object.frame_header < object.end
				? &found
				: &wrong);
	object_list_close_begin();
	if (object_list_find(code, &object) == 0)
		add(&wrong);
	if (library)
		dlclose(library);
	object_list_close_end();
	add(&unloaded);
}

static void load_and_unload(void)
{
	const char *scale = getenv("SPPROF_STRESS"), *folder = getenv("BUILDDIR");
	unsigned turns = TURNS * (scale ? (unsigned)atoi(scale) : 1);
	char paths[2][4096];
	for (int i = 0; i < 2; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/tests/programs/.libs/unwind_lib_%s.so",
			folder ? folder : ".", i ? "large" : "small");
	for (unsigned i = 0; i < turns; i++)
		open_and_close(paths[i % 2]);
}

static bool learn(void)
{
	const uintptr_t pcs[] = {(uintptr_t)&qsort, (uintptr_t)&dlopen, (uintptr_t)&load_and_unload,
		(uintptr_t)&object_list_find};
	bool good = object_list_init();
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct cfi_object object = {0};
		good = good && object_list_find(pcs[i], &object) == 0 && object.frame_header;
		known[i] = (struct known){pcs[i], object.frame_header};
	}
	return good;
}

int main(void)
{
	pthread_t threads[READERS + 1];
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGUSR1, &action, NULL);
	if (!tap_print(learn(), "the objects at load are listed"))
		return tap_print_end();
	for (int i = 0; i <= READERS; i++)
		pthread_create(&threads[i], NULL, i ? read_list : make_list, NULL);
	load_and_unload();
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (int i = 0; i <= READERS; i++)
		pthread_join(threads[i], NULL);
	printf("# %lu found, %lu not, %lu wrong, %lu libraries unloaded\n", found, missed, wrong,
		unloaded);
	tap_print(wrong == 0, "what is found is right whatever changes meanwhile");
	tap_print(found > unloaded && missed < found / 10, "and it is found");
	return tap_print_end();
}
