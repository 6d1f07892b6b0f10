/*
 * Everything about the processor that the unwinder needs to know, and nothing else in this folder
 * depends on it: a file per architecture gives the same names, rule_cache_*.h how rules are packed.
 * Included by the unwinder, the hooks and their tests only.
 */
#pragma once
#include <stdint.h>

#if defined(__x86_64__) && defined(__LP64__)
#include "unwind/arch_x86_64.h"
#elif defined(__aarch64__) && defined(__LP64__)
#include "unwind/arch_aarch64.h"
#else
#error "spprof runs on x86_64 and aarch64"
#endif

/* The smallest page any kernel of this architecture has; a larger one is merely probed in parts. */
#define ARCH_PAGE_BYTES ((uintptr_t)4096)
