/*
 * The peer must be root or our own user: a descriptor of our memory goes to nobody else. A full
 * backlog is no reason to wait, the daemon finds us at its next scan.
 */
#define _GNU_SOURCE
#include "attach.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "platform/linux/raw_syscall.h"
#include "spprof/wire/handshake.h"

static bool make_address(struct sockaddr_un *address, const char *directory)
{
	static const char suffix[] = "/" WIRE_AGENT_SOCKET;
	size_t length = strlen(directory);

	if (length == 0 || length + sizeof suffix > sizeof address->sun_path)
		return false;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, directory, length);
	memcpy(address->sun_path + length, suffix, sizeof suffix);
	return true;
}

static bool peer_is_trusted(long fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return raw_syscall6(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size,
		       0) == 0 &&
	       (peer.uid == 0 || peer.uid == (uid_t)raw_syscall0(SYS_geteuid));
}

static bool hand_over(long fd, int segment_fd)
{
	struct wire_handshake handshake = {
		.magic = WIRE_HANDSHAKE_MAGIC, .major = WIRE_MAJOR, .minor = WIRE_MINOR};
	struct iovec iov = {&handshake, sizeof handshake};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {
			     .cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
		     }};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control.space,
	};

	memcpy(CMSG_DATA(&control.header), &segment_fd, sizeof segment_fd);
	return raw_syscall3(SYS_sendmsg, fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       sizeof handshake;
}

static bool attach_at(const struct segment *segment, const char *directory)
{
	struct sockaddr_un address;
	bool done = false;

	if (!make_address(&address, directory))
		return false;
	long fd =
		raw_syscall3(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (raw_syscall3(SYS_connect, fd, &address, sizeof address) == 0)
		done = peer_is_trusted(fd) && hand_over(fd, segment->fd);
	raw_syscall1(SYS_close, fd);
	return done;
}

/* Without snprintf, which takes more of the host's stack than a hook may. */
static char *append_number(char *at, unsigned number)
{
	char digits[10];
	int count = 0;

	do
		digits[count++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	while (count > 0)
		*at++ = digits[--count];
	return at;
}

/* `format` has one %u, for the user. */
_Static_assert(sizeof WIRE_USER_DIR_FORMAT + 10 < 64 && sizeof WIRE_TMP_DIR_FORMAT + 10 < 64,
	"a user's directory fits");
static bool attach_at_user(const struct segment *segment, const char *format)
{
	char directory[64];
	char *at = directory;

	for (; *format; format++) {
		if (format[0] == '%' && format[1] == 'u') {
			at = append_number(at, (unsigned)raw_syscall0(SYS_geteuid));
			format++;
		} else {
			*at++ = *format;
		}
	}
	*at = '\0';
	return attach_at(segment, directory);
}

void attach_to_daemon(const struct segment *segment, const char *directory)
{
	if (segment->fd < 0)
		return;
	if (directory)
		attach_at(segment, directory);
	else if (!attach_at(segment, WIRE_SYSTEM_DIR) &&
		 !attach_at_user(segment, WIRE_USER_DIR_FORMAT))
		attach_at_user(segment, WIRE_TMP_DIR_FORMAT);
}
