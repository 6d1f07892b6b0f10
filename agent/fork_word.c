/* One page, because that is what madvise wipes. */
#define _GNU_SOURCE
#include "fork_word.h"
#include <errno.h>
#include <sys/mman.h>
#include "private_memory.h"
#include "platform/linux/raw_syscall.h"

#define PAGE 4096

_Atomic uint32_t *fork_word;
_Atomic uint32_t fork_word_generation_now = 1;

int fork_word_make(void)
{
	_Atomic uint32_t *word = private_memory_map(PAGE);

	if (!word)
		return -ENOMEM;
	int error = (int)raw_syscall3(SYS_madvise, word, PAGE, MADV_WIPEONFORK);
	if (error != 0)
		return error;
	/* relaxed: published with the lifecycle's state. */
	atomic_store_explicit(word, FORK_SETTLED, memory_order_relaxed);
	fork_word = word;
	return 0;
}

bool fork_word_settle(void)
{
	uint32_t child = FORK_CHILD;

	/* relaxed: what the parent had done is in the child's memory; whoever loses does nothing.
	 */
	return fork_word && atomic_compare_exchange_strong_explicit(fork_word, &child,
				    FORK_SETTLING, memory_order_relaxed, memory_order_relaxed);
}

void fork_word_settled(uint32_t generation)
{
	/* relaxed: ordered by the word. */
	atomic_store_explicit(&fork_word_generation_now, generation, memory_order_relaxed);
	/* [FORK-1] release: the new segment and everything else that was settled; pairs with
	 * acquire in fork_word_is_child. */
	atomic_store_explicit(fork_word, FORK_SETTLED, memory_order_release);
}
