/* As many buffers as can reasonably be capturing at once; a 65th thread drops its sample and counts
 * it. Threads get ids in sequence, so those that live at once mostly begin at buffers of their own.
 */
#include "scratch_pool.h"
#include <stddef.h>
#include "lease.h"
#include "private_memory.h"
#include "python/mixed_stack.h"

#define SCRATCH_COUNT 64

static struct scratch scratches[SCRATCH_COUNT];
static _Atomic uint64_t leases[SCRATCH_COUNT];
static struct mixed_stack *mixed; /* ordered by PY-1; NULL: no interpreter */

bool scratch_pool_make_mixed(void)
{
	mixed = private_memory_map(SCRATCH_COUNT * sizeof *mixed);
	return mixed != NULL;
}

struct mixed_stack *scratch_pool_mixed(const struct scratch *scratch)
{
	return &mixed[scratch - scratches];
}

struct scratch *scratch_pool_lease(uint32_t tid, uint64_t *word)
{
	for (unsigned turn = 0; turn < SCRATCH_COUNT; turn++) {
		unsigned i = (tid + turn) % SCRATCH_COUNT;

		*word = lease_try(&leases[i], tid, i + 1);
		if (*word != 0)
			return &scratches[i];
	}
	return NULL;
}

void scratch_pool_release(struct scratch *scratch, uint64_t word)
{
	lease_release(&leases[scratch - scratches], word);
}

void scratch_pool_reap(uint64_t now_ns)
{
	static _Atomic uint64_t last_ns;

	lease_reap(leases, SCRATCH_COUNT, sizeof leases[0], &last_ns, now_ns);
}
