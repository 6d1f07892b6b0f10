/*
 * The table begins with functions that set the agent up and go on: a constructor that runs before
 * ours may be the first to allocate. While dlsym works (and may allocate), requests are served by
 * bumping a pointer.
 */
#define _GNU_SOURCE
#include "next_allocator.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include "bloom_filter.h"
#include "lifecycle.h"
#include "raw_syscall.h"

#define BOOTSTRAP_SIZE NEXT_ALLOCATOR_BOOTSTRAP_BYTES
#define EXIT_NO_NEXT   127

_Alignas(max_align_t) char next_allocator_bootstrap[BOOTSTRAP_SIZE];
static _Atomic size_t bootstrap_used;

const char *const next_allocator_new_names[NEXT_ALLOCATOR_NEW_FORMS] = {
	"_Znwm",
	"_Znam",
	"_ZnwmRKSt9nothrow_t",
	"_ZnamRKSt9nothrow_t",
	"_ZnwmSt11align_val_t",
	"_ZnamSt11align_val_t",
	"_ZnwmSt11align_val_tRKSt9nothrow_t",
	"_ZnamSt11align_val_tRKSt9nothrow_t",
};

const char *const next_allocator_delete_names[NEXT_ALLOCATOR_DELETE_FORMS] = {
	"_ZdlPv",
	"_ZdaPv",
	"_ZdlPvm",
	"_ZdaPvm",
	"_ZdlPvRKSt9nothrow_t",
	"_ZdaPvRKSt9nothrow_t",
	"_ZdlPvSt11align_val_t",
	"_ZdaPvSt11align_val_t",
	"_ZdlPvmSt11align_val_t",
	"_ZdaPvmSt11align_val_t",
	"_ZdlPvSt11align_val_tRKSt9nothrow_t",
	"_ZdaPvSt11align_val_tRKSt9nothrow_t",
};

/* Each block: its size, padding to the alignment, the bytes. */
static void *bootstrap_allocate(size_t alignment, size_t size)
{
	if (alignment < 16)
		alignment = 16;
	if (size > BOOTSTRAP_SIZE || alignment > BOOTSTRAP_SIZE)
		goto fail;
	size_t wanted = size + alignment + sizeof(size_t);
	/* relaxed: bytes are handed out once; nobody else knows them yet. */
	size_t start = atomic_fetch_add_explicit(&bootstrap_used, wanted, memory_order_relaxed);
	if (start > BOOTSTRAP_SIZE || BOOTSTRAP_SIZE - start < wanted)
		goto fail;
	uintptr_t block = (uintptr_t)next_allocator_bootstrap + start + sizeof(size_t);
	block = (block + alignment - 1) & ~(uintptr_t)(alignment - 1);
	((size_t *)block)[-1] = size;
	bloom_filter_mark(block);
	return (void *)block;
fail:
	errno = ENOMEM;
	return NULL;
}

size_t next_allocator_bootstrap_size(const void *address)
{
	return ((const size_t *)address)[-1];
}

static void *early_malloc(size_t size);

/* True once the table leads to the real allocator. */
static bool found(void)
{
	lifecycle_enter();
	return next_allocator.malloc != early_malloc;
}

static void *early_memalign(size_t alignment, size_t size)
{
	return found() ? next_allocator.memalign(alignment, size)
		       : bootstrap_allocate(alignment, size);
}

static void *early_malloc(size_t size)
{
	return found() ? next_allocator.malloc(size) : bootstrap_allocate(0, size);
}

static void *early_calloc(size_t count, size_t size)
{
	size_t bytes;

	if (found())
		return next_allocator.calloc(count, size);
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return bootstrap_allocate(0, bytes); /* static memory that was never used: zero */
}

static void *early_realloc(void *address, size_t size)
{
	/* Only blocks of the bootstrap heap exist by now, and the hook has dealt with those. */
	return found() ? next_allocator.realloc(address, size)
		       : (address ? NULL : bootstrap_allocate(0, size));
}

static void early_free(void *address)
{
	if (found())
		next_allocator.free(address);
}

static int early_posix_memalign(void **out, size_t alignment, size_t size)
{
	if (found())
		return next_allocator.posix_memalign(out, alignment, size);
	void *block = bootstrap_allocate(alignment, size);
	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

static void *early_valloc(size_t size)
{
	return found() ? next_allocator.valloc(size) : bootstrap_allocate(4096, size);
}

static void *early_pvalloc(size_t size)
{
	return found() ? next_allocator.pvalloc(size) : bootstrap_allocate(4096, size);
}

static size_t early_malloc_usable_size(void *address)
{
	return found() ? next_allocator.malloc_usable_size(address) : 0;
}

static void *early_dlopen(const char *file, int mode)
{
	return found() ? next_allocator.dlopen(file, mode) : NULL;
}

static int early_dlclose(void *handle)
{
	return found() ? next_allocator.dlclose(handle) : 0;
}

struct next_allocator next_allocator = {
	.malloc = early_malloc,
	.calloc = early_calloc,
	.realloc = early_realloc,
	.free = early_free,
	.posix_memalign = early_posix_memalign,
	.aligned_alloc = early_memalign,
	.memalign = early_memalign,
	.valloc = early_valloc,
	.pvalloc = early_pvalloc,
	.malloc_usable_size = early_malloc_usable_size,
	.dlopen = early_dlopen,
	.dlclose = early_dlclose,
};

static void say(const char *text)
{
	raw_syscall3(SYS_write, 2, text, strlen(text));
}

static void *require(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (symbol)
		return symbol;
	say("spprof-agent: no ");
	say(name);
	say("() found behind the agent; start the program without LD_PRELOAD of "
	    "libspprof-agent.so\n");
	raw_syscall1(SYS_exit_group, EXIT_NO_NEXT);
	__builtin_unreachable();
}

static void find_all(const char *const *names, void **out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i] = dlsym(RTLD_NEXT, names[i]);
}

void next_allocator_find(void)
{
	/* Filled aside and switched at the end: dlsym may allocate through the table. */
	struct next_allocator found = {
		.malloc = require("malloc"),
		.calloc = require("calloc"),
		.realloc = require("realloc"),
		.free = require("free"),
		.posix_memalign = require("posix_memalign"),
		.aligned_alloc = require("aligned_alloc"),
		.memalign = require("memalign"),
		.valloc = require("valloc"),
		.pvalloc = dlsym(RTLD_NEXT, "pvalloc"),
		.malloc_usable_size = require("malloc_usable_size"),
		.dlopen = require("dlopen"),
		.dlclose = require("dlclose"),
		.free_sized = dlsym(RTLD_NEXT, "free_sized"),
		.free_aligned_sized = dlsym(RTLD_NEXT, "free_aligned_sized"),
	};

	/* musl has none, so nobody behind us can free what it would return. */
	if (!found.pvalloc)
		found.pvalloc = found.valloc;
	find_all(next_allocator_new_names, found.new_form, NEXT_ALLOCATOR_NEW_FORMS);
	find_all(next_allocator_delete_names, found.delete_form, NEXT_ALLOCATOR_DELETE_FORMS);
	next_allocator = found;
}

typedef int (*iterate_function)(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data);

struct order {
	iterate_function iterate; /* libc's: a program may have its own */
	int agent, libc;	  /* positions in the link map; 0: not seen */
	int position;
};

static bool contains(const struct dl_phdr_info *object, const void *address)
{
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && (uintptr_t)address - start < segment->p_memsz)
			return true;
	}
	return false;
}

static int note_order(struct dl_phdr_info *object, size_t size, void *data)
{
	struct order *order = data;

	(void)size;
	order->position++;
	if (contains(object, next_allocator_bootstrap))
		order->agent = order->position;
	else if (contains(object, (const void *)order->iterate))
		order->libc = order->position;
	return 0;
}

/* What is known here of thread control blocks, stacks and the order of objects is glibc's. */
static bool is_glibc(void)
{
	return dlsym(RTLD_DEFAULT, "gnu_get_libc_version") != NULL;
}

bool next_allocator_agent_is_preloaded(void)
{
	struct order order = {.iterate = (iterate_function)dlsym(RTLD_NEXT, "dl_iterate_phdr")};

	if (!is_glibc()) {
		say("spprof-agent: this program runs on another C library than glibc and is left "
		    "alone\n");
		return false;
	}
	/* Preloads stand before the libraries that the program asked for; a dlopened object stands
	 * behind. */
	if (order.iterate)
		order.iterate(note_order, &order);
	if (order.agent != 0 && order.agent < order.libc)
		return true;
	say("spprof-agent: loaded by dlopen, which is too late to see allocations; restart the "
	    "program with "
	    "LD_PRELOAD=libspprof-agent.so\n");
	return false;
}

struct runtime_search {
	const void *address;
	bool is_runtime;
};

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static int note_runtime(struct dl_phdr_info *object, size_t size, void *data)
{
	struct runtime_search *search = data;
	const char *slash = strrchr(object->dlpi_name, '/');
	const char *name = slash ? slash + 1 : object->dlpi_name;

	(void)size;
	if (!contains(object, search->address))
		return 0;
	search->is_runtime = starts_with(name, "libstdc++.so.") || starts_with(name, "libc++.so.");
	return 1;
}

bool next_allocator_is_cxx_runtimes(const void *address)
{
	iterate_function iterate = (iterate_function)dlsym(RTLD_NEXT, "dl_iterate_phdr");
	struct runtime_search search = {.address = address};

	if (iterate)
		iterate(note_runtime, &search);
	return search.is_runtime;
}
