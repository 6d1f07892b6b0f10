/* MAP_NORESERVE: the reservation is generous, what is touched is not. */
#define _GNU_SOURCE
#include "private_memory.h"
#include <sys/mman.h>
#include "platform/linux/raw_syscall.h"

void *private_memory_map(size_t size)
{
	long address = raw_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (address < 0 && address > -4096)
		return NULL;
	raw_syscall3(SYS_madvise, address, size, MADV_DONTDUMP);
	/* Else one touched slot may cost 2 MiB. */
	raw_syscall3(SYS_madvise, address, size, MADV_NOHUGEPAGE);
	return (void *)address;
}
