/*
 * Attach at load. The agent connects (SOCK_SEQPACKET) to DIR/agent.sock, sends one struct
 * wire_handshake with the segment's descriptor as SCM_RIGHTS, and closes. There is no reply: whatever
 * the daemon has to say, it writes into the segment's control words. Nothing in the message is believed;
 * who speaks is asked of the kernel (SO_PEERPIDFD, SO_PEERCRED).
 *
 * DIR is $SPPROF_SOCKET, else /run/spprofd, else /run/user/UID/spprofd, else /tmp/spprofd-UID.
 */
#pragma once
#include <stdint.h>

#define WIRE_HANDSHAKE_MAGIC UINT32_C(0x48505053) /* "SPPH" */
#define WIRE_AGENT_SOCKET    "agent.sock"
#define WIRE_SYSTEM_DIR      "/run/spprofd"
#define WIRE_USER_DIR_FORMAT "/run/user/%u/spprofd"
#define WIRE_TMP_DIR_FORMAT  "/tmp/spprofd-%u"

struct wire_handshake {
	uint32_t magic;
	uint16_t major;
	uint16_t minor;
	uint64_t reserved;
};

_Static_assert(sizeof(struct wire_handshake) == 16, "handshake");
