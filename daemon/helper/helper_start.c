/* Everything here comes before the first byte that somebody else wrote. */
#include "helper/helper_start.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "base/log.h"

#define SOCKET_FD 3

static bool is_packet_socket(int fd)
{
	int type;
	socklen_t size = sizeof(type);
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int helper_start(const char *name, const struct sandbox_limits *limits)
{
	enum log_level level = LOG_LEVEL_WARNING;
	const char *wanted = getenv("SPPROF_LOG");
	if (wanted)
		log_parse_level(wanted, &level);
	log_init(name, level);
	if (!is_packet_socket(SOCKET_FD)) {
		log_error("this is spprofd's helper; spprofd starts it when it needs it");
		return -ENOTSOCK;
	}
	sandbox_enter(limits);
	return SOCKET_FD;
}
