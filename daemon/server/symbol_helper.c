/* Messages instead of packets: a packet that is no message ends the helper. */
#include "server/symbol_helper.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "server/helper_process.h"

struct symbol_helper {
	struct helper_process *process; /* owns; NULL: it never ran */
	const struct symbol_helper_handlers *handlers;
	void *data;
};

/* Freed and not reaped yet, in this process. */
static unsigned lingering;

static int on_packet(void *data, const uint8_t *bytes, size_t size)
{
	struct symbol_helper *helper = data;
	Spprof__V1__SymbolizerReply *reply =
		spprof__v1__symbolizer_reply__unpack(NULL, size, bytes);
	if (!reply)
		return -EBADMSG;
	helper->handlers->reply(helper->data, reply); /* may free the helper */
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
	return 0;
}

static void on_end(void *data)
{
	struct symbol_helper *helper = data;
	helper->handlers->end(helper->data);
}

static void on_reaped(void *data)
{
	lingering--;
	free(data);
}

static const struct helper_process_handlers process_handlers = {on_packet, on_end, on_reaped};

int symbol_helper_new(struct symbol_helper **out, struct uv_loop_s *loop, const char *program,
	enum symbol_helper_duty duty, const struct symbol_helper_handlers *handlers, void *data)
{
	const struct helper_process_options options = {
		.program = program,
		.name = "spprof-symbolizer",
		.argument = duty == SYMBOL_HELPER_AUDITS ? "audits" : NULL,
		.max_packet_bytes = SPPROF__V1__SYMBOLIZER_BOUND__REPLY_BYTES,
	};
	struct symbol_helper *helper = alloc_zeroed(1, sizeof(*helper));
	helper->handlers = handlers;
	helper->data = data;
	int r = helper_process_new(&helper->process, loop, &options, &process_handlers, helper);
	if (r < 0) {
		free(helper);
		return r;
	}
	*out = helper;
	return 0;
}

struct symbol_helper *symbol_helper_free(struct symbol_helper *helper)
{
	if (!helper)
		return NULL;
	lingering++;
	helper_process_free(helper->process); /* on_reaped frees the rest */
	return NULL;
}

unsigned symbol_helper_lingering(void)
{
	return lingering;
}

int symbol_helper_send(
	struct symbol_helper *helper, const Spprof__V1__SymbolizerRequest *request, int fd)
{
	uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES];
	if (spprof__v1__symbolizer_request__get_packed_size(request) > sizeof(bytes))
		return -EMSGSIZE;
	size_t size = spprof__v1__symbolizer_request__pack(request, bytes);
	int r = helper_process_send(helper->process, bytes, size, fd);
	if (request->kind_case == SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT)
		explicit_bzero(bytes, size);
	return r;
}

pid_t symbol_helper_pid(const struct symbol_helper *helper)
{
	return helper_process_pid(helper->process);
}
