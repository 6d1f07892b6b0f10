/* spprof-map-reader: wiring only. Started by spprofd with a socket as descriptor 3, for one reading. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "helper/helper_start.h"
#include "map_reader/reader_service.h"

int main(void)
{
	static const struct sandbox_limits limits = {
		.address_space_bytes = (size_t)64 << 20, .descriptors = 16};
	int socket = helper_start("spprof-map-reader", &limits);
	if (socket < 0)
		return 2;
	int r = reader_service_run(socket);
	if (r < 0)
		log_error("lost the daemon: %s", strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
