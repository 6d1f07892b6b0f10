#include "server/api_call.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "server/api_answer.h"

struct api_call {
	struct api_peer peer;
	int fd;							/* borrows, until abandoned */
	void (*deliver)(struct api_answer *answer, void *data); /* NULL: abandoned */
	void *data;
};

struct api_call *api_call_new(const struct api_peer *peer, int fd,
	void (*deliver)(struct api_answer *answer, void *data), void *data)
{
	struct api_call *call = alloc_zeroed(1, sizeof *call);
	call->peer = *peer;
	call->fd = fd;
	call->deliver = deliver;
	call->data = data;
	return call;
}

void api_call_abandon(struct api_call *call)
{
	call->deliver = NULL;
}

bool api_call_wanted(const struct api_call *call)
{
	/* A client that has only closed its sending side waits for its answer: that is no hangup.
	 */
	struct pollfd connection = {.fd = call->fd};
	return call->deliver != NULL && poll(&connection, 1, 0) == 0;
}

const struct api_peer *api_call_peer(const struct api_call *call)
{
	return &call->peer;
}

void api_call_answer(struct api_call *call, struct api_answer *answer)
{
	if (call->deliver != NULL)
		call->deliver(answer, call->data);
	else
		api_answer_free(answer);
	free(call);
}

void api_call_refuse(struct api_call *call, Spprof__V1__Error__Code code, const char *format, ...)
{
	char message[512];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof message, format, args);
	va_end(args);
	struct api_answer *answer = api_answer_new();
	api_answer_add_error(answer, code, message);
	api_call_answer(call, answer);
}
