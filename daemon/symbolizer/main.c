/* spprof-symbolizer: wiring only. Started by spprofd with a socket as descriptor 3. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "helper/helper_start.h"
#include "symbolizer/service.h"

int main(void)
{
	static const struct sandbox_limits limits = {
		.address_space_bytes = (size_t)4 << 30, .descriptors = 512};
	int socket = helper_start("spprof-symbolizer", &limits);
	if (socket < 0)
		return 2;
	int r = service_run(socket);
	if (r < 0)
		log_error("lost the daemon: %s", strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
