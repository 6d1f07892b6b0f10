/* spprof-symbolizer: wiring only. Started by spprofd with a socket as descriptor 3. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "symbolizer/sandbox.h"
#include "symbolizer/service.h"

#define SOCKET_FD 3

static int is_packet_socket(int fd)
{
	int type;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int main(void)
{
	enum log_level level = LOG_LEVEL_WARNING;
	const char *wanted = getenv("SPPROF_LOG");
	if (wanted)
		log_parse_level(wanted, &level);
	log_init("spprof-symbolizer", level);
	if (!is_packet_socket(SOCKET_FD)) {
		log_error("this is spprofd's helper; spprofd starts it when it needs names");
		return 2;
	}
	sandbox_enter();
	int r = service_run(SOCKET_FD);
	if (r < 0)
		log_error("lost the daemon: %s", strerror(-r));
	_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS); /* handlers at exit would not be let through */
}
