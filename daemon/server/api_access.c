#include "server/api_access.h"

#include "server/api_call.h"
#include "server/session.h"

bool api_access_uid(const struct api_peer *peer, uid_t uid, bool single_uid)
{
	return peer->sees_all || (peer->uid == uid && single_uid);
}

bool api_access_session(const struct api_peer *peer, const struct session *session)
{
	const struct session_facts *facts = session_facts(session);
	return api_access_uid(peer, facts->uid, facts->single_uid);
}
