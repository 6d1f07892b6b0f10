/*
 * One request under way: made by the server for its handler, ended by exactly one answer, now or
 * later. It outlives its connection; the answer then goes nowhere. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "spprof/v1/api.pb-c.h"

struct api_answer;
struct api_call;

struct api_peer {
	pid_t pid;
	uid_t uid;
	bool sees_all; /* root, the daemon's own user, or a member of the configured group */
};

const struct api_peer *api_call_peer(const struct api_call *call);
/* False: the client has gone, the answer would go nowhere. Costs a system call. */
bool api_call_wanted(const struct api_call *call);
/* Takes `answer` over and ends the call, which is invalid after. */
void api_call_answer(struct api_call *call, struct api_answer *answer);
/* The same with an Error. */
void api_call_refuse(struct api_call *call, Spprof__V1__Error__Code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For the server. `deliver` takes the answer over, unless the call was abandoned; `fd`, borrowed
 * until then, is the client's connection. */
struct api_call *api_call_new(const struct api_peer *peer, int fd,
	void (*deliver)(struct api_answer *answer, void *data), void *data);
void api_call_abandon(struct api_call *call);
