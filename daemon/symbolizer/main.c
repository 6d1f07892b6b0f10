/*
 * spprof-symbolizer: wiring only. Started by spprofd with a socket as descriptor 3; with "audits" as
 * its argument where it audits stacks.
 *
 * Names need libdw, whose memory grows with debug information. Audits need the files mapped, and
 * about a megabyte besides (service.c holds libunwind to little more): the address space is what the
 * files may take, and half as much again.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "helper/helper_start.h"
#include "symbolizer/file_cache.h"
#include "symbolizer/service.h"

#define MIB ((size_t)1 << 20)

static const struct duty {
	struct sandbox_limits limits;
	struct file_cache_bounds bounds;
} names = {{4096 * MIB, 512, false}, {2048 * MIB, 1024 * MIB, UINT64_MAX}},
  audits = {{768 * MIB, 512, false}, {512 * MIB, 64 * MIB, 512 * MIB}};

int main(int argc, char **argv)
{
	const struct duty *duty = argc > 1 && strcmp(argv[1], "audits") == 0 ? &audits : &names;
	int socket = helper_start("spprof-symbolizer", &duty->limits);
	if (socket < 0)
		return 2;
	int r = service_run(socket, &duty->bounds);
	if (r < 0)
		log_error("lost the daemon: %s", strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
