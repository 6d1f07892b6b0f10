/* One page, because that is what madvise wipes. */
#define _GNU_SOURCE
#include "fork_word.h"
#include <errno.h>
#include <sys/mman.h>
#include "private_memory.h"
#include "platform/linux/raw_syscall.h"

#define PAGE 4096

_Atomic uint32_t *fork_word;

int fork_word_make(void)
{
	_Atomic uint32_t *word = private_memory_map(PAGE);

	if (!word)
		return -ENOMEM;
	int error = (int)raw_syscall3(SYS_madvise, word, PAGE, MADV_WIPEONFORK);
	if (error != 0)
		return error;
	/* relaxed: published with the lifecycle's state. */
	atomic_store_explicit(word, 1, memory_order_relaxed);
	fork_word = word;
	return 0;
}
