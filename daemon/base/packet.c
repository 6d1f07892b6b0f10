/* What the peer sends is bounded here in size and in descriptors; its content is the caller's to
 * distrust. */
#include "base/packet.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for two, so that a peer which passes several is noticed and all of them are closed. */
#define MAX_DESCRIPTORS 2

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
};

int packet_send(int socket, const void *bytes, size_t size, int pass, int flags)
{
	union control control = {0};
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (pass >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int));
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &pass, sizeof(int));
	}
	ssize_t sent;
	do
		sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* How many descriptors came; the first is *passed, the others are closed. */
static size_t take_descriptors(struct msghdr *message, int *passed)
{
	size_t count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++, count++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count == 0)
				*passed = fd;
			else
				close(fd);
		}
	}
	return count;
}

ssize_t packet_receive(int socket, void *bytes, size_t room, int *passed, int flags)
{
	union control control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = room};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (passed) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		*passed = -1;
	}
	ssize_t got;
	/* A peer that closes with packets unread resets the connection, which Linux reports once,
	 * ahead of what the peer had sent before; after that packets come as usual, then the end.
	 */
	do
		got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNRESET));
	if (got < 0)
		return -errno;
	size_t count = passed ? take_descriptors(&message, passed) : 0;
	if (count > 1 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (count > 0)
			close(*passed);
		if (passed)
			*passed = -1;
		return -EMSGSIZE;
	}
	return got;
}
