/*
 * A C program that loads C++ libraries privately, and unloads them, over and over, while other
 * threads allocate: two libraries of different frames take turns at the same addresses. Prints TAP.
 *
 *   plugin_host LIBRARY LIBRARY
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

enum { ROUNDS = 400, DEPTH = 40, CHURNERS = 2 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

static bool aborts; /* as mimalloc does, instead of throwing */

struct plugin {
	void *handle;
	void *(*make)(int depth);
	void (*drop)(void *block);
	int (*throws)(void);
};

static bool load(struct plugin *plugin, const char *path)
{
	plugin->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!plugin->handle) {
		printf("# %s\n", dlerror());
		return false;
	}
	plugin->make = (void *(*)(int))dlsym(plugin->handle, "plugin_make");
	plugin->drop = (void (*)(void *))dlsym(plugin->handle, "plugin_drop");
	plugin->throws = (int (*)(void))dlsym(plugin->handle, "plugin_throws");
	return plugin->make && plugin->drop && plugin->throws;
}

/* Loads, uses, unloads. Whether all went right. */
static bool use(const char *path, bool alone)
{
	struct plugin plugin;

	if (!load(&plugin, path))
		return false;
	int64_t before = agent_view_live();
	void *block = plugin.make(DEPTH);
	bool right = block && (aborts || plugin.throws());
	if (alone && agent_view_header)
		right &= agent_view_live() == before + 1;
	plugin.drop(block);
	if (alone)
		right &= agent_view_live() == before;
	agent_view_drain();
	return dlclose(plugin.handle) == 0 && right;
}

static _Atomic bool churning;

static void *churn(void *unused)
{
	void *held[16] = {0};

	for (unsigned i = 0; atomic_load(&churning); i++) {
		do_free(held[i % 16]);
		held[i % 16] = do_malloc(100 + i % 1000);
	}
	for (int i = 0; i < 16; i++)
		do_free(held[i]);
	return unused;
}

static bool storm(char **paths)
{
	pthread_t threads[CHURNERS];
	bool right = true;

	atomic_store(&churning, true);
	for (int i = 0; i < CHURNERS; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < ROUNDS; i++)
		right &= use(paths[i % 2], false);
	atomic_store(&churning, false);
	for (int i = 0; i < CHURNERS; i++)
		pthread_join(threads[i], NULL);
	return right;
}

int main(int argc, char **argv)
{
	agent_view_open();
	if (argc != 3)
		return 2;
	tap_print(dlerror() == NULL, "no error of the dynamic linker is left from before");
	aborts = dlsym(RTLD_DEFAULT, "mi_new") != NULL;
	tap_print(use(argv[1], false) && use(argv[2], false),
		"operators of a library that was loaded privately work");
	int64_t live = agent_view_live();
	bool right = true;
	for (int i = 0; i < 50; i++)
		right &= use(argv[1 + i % 2], true);
	tap_print(right && agent_view_live() == live,
		"loading and unloading leaves no sample behind");
	tap_print(storm(argv + 1), "libraries come and go while others allocate");
	tap_print(agent_view_sampled(1000), "allocations were sampled");
	return tap_print_end();
}
