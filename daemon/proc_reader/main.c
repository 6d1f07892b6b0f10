/* spprof-proc-reader: wiring only. Started by spprofd with a socket as descriptor 3. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "helper/helper_start.h"
#include "proc_reader/proc_service.h"

int main(void)
{
	static const struct sandbox_limits limits = {.address_space_bytes = (size_t)64 << 20,
		.descriptors = 16,
		.looks_at_processes = true};
	int socket = helper_start("spprof-proc-reader", &limits);
	if (socket < 0)
		return 2;
	int r = proc_service_run(socket);
	if (r < 0)
		log_error("lost the daemon: %s", strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
