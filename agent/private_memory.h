/*
 * The agent's own memory: reserved at load straight from the kernel, never from the host's heap,
 * touched page by page, left out of core dumps. Never given back.
 */
#pragma once
#include <stddef.h>

/* Zeroed, page-aligned; NULL if the kernel refuses. errno is kept. */
void *private_memory_map(size_t size);
