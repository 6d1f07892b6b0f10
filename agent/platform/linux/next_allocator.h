/*
 * The allocator behind the agent, found once at load by dlsym(RTLD_NEXT). Until then every pointer
 * leads to the bootstrap heap, 64 KiB that serve what dlsym itself allocates; blocks from there
 * stay valid for ever and their addresses are put into the bloom filter, so that the hot path of
 * free need not ask.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* operator new and delete, in the order of their tables in interpose_new.c */
#define NEXT_ALLOCATOR_NEW_FORMS    8
#define NEXT_ALLOCATOR_DELETE_FORMS 12

struct next_allocator {
	void *(*malloc)(size_t size);
	void *(*calloc)(size_t count, size_t size);
	void *(*realloc)(void *address, size_t size);
	void (*free)(void *address);
	int (*posix_memalign)(void **out, size_t alignment, size_t size);
	void *(*aligned_alloc)(size_t alignment, size_t size);
	void *(*memalign)(size_t alignment, size_t size);
	void *(*valloc)(size_t size);
	void *(*pvalloc)(size_t size);
	size_t (*malloc_usable_size)(void *address);
	void (*free_sized)(void *address, size_t size); /* C23; may be NULL */
	void (*free_aligned_sized)(
		void *address, size_t alignment, size_t size); /* C23; may be NULL */
	void *(*dlopen)(const char *file, int mode);
	int (*dlclose)(void *handle);
	void *new_form[NEXT_ALLOCATOR_NEW_FORMS];	/* NULL: no C++ runtime behind us */
	void *delete_form[NEXT_ALLOCATOR_DELETE_FORMS]; /* NULL likewise */
};

extern struct next_allocator next_allocator;

/* Fills the table, or says in one line why the program cannot run and ends it with status 127.
 * Leaves an error for dlerror() to report. */
void next_allocator_find(void);
/* False if the agent was dlopened: what is bound already will never reach it. Says so in one line.
 */
bool next_allocator_agent_is_preloaded(void);
/* Whether the address lies in libstdc++ or libc++, by the object's name. Without dladdr's search for symbols. */
bool next_allocator_is_cxx_runtimes(const void *address);

#define NEXT_ALLOCATOR_BOOTSTRAP_BYTES (64u << 10)
extern char next_allocator_bootstrap[NEXT_ALLOCATOR_BOOTSTRAP_BYTES];

/* Whether the block comes from the bootstrap heap. Inline: some programs ask for the usable size of each block. */
static inline bool next_allocator_is_bootstrap(const void *address)
{
	return (uintptr_t)address - (uintptr_t)next_allocator_bootstrap <
	       NEXT_ALLOCATOR_BOOTSTRAP_BYTES;
}
/* How large it is then. */
size_t next_allocator_bootstrap_size(const void *address);

/* The C++ runtime's allocation functions, by mangled name; shared with interpose_new.c. */
extern const char *const next_allocator_new_names[NEXT_ALLOCATOR_NEW_FORMS];
extern const char *const next_allocator_delete_names[NEXT_ALLOCATOR_DELETE_FORMS];
