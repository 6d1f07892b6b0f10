/* A descriptor whose last close takes long. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "support/tap_main.h"

/* A TCP connection whose other end, *peer, takes nothing: its close takes a thousand seconds. */
static inline int lingering_socket(int *peer)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof address;
	struct linger linger = {.l_onoff = 1, .l_linger = 1000};
	static const char bytes[65536];
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listening, 1), 0);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, size), 0);
	*peer = accept(listening, NULL, NULL);
	ck_assert_int_ge(*peer, 0);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	close(listening);
	return fd;
}
