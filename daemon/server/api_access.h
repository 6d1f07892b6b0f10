/* Who may see which process: a user their own, a peer with sees_all every one. Pure. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct api_peer;
struct session;

/* `single_uid`: the process runs under this uid alone; one that changed its own is its former
 * user's no more. */
bool api_access_uid(const struct api_peer *peer, uid_t uid, bool single_uid);
bool api_access_session(const struct api_peer *peer, const struct session *session);
