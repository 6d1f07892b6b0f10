/*
 * A symbolizer that does what the first word of a file says, to see what the client makes of it:
 *
 *   answer    names each offset "f<offset in hex>", "fake.c", line = offset
 *   pieces    the same, one offset per reply
 *   opens     names each offset "opened <how often a file was opened by this process>"
 *   ugly      names that are too long, no UTF-8, full of control characters
 *   die       dies when asked
 *   half      answers the first offset, then dies
 *   hang      never answers
 *   nonsense  answers about other offsets
 *   stale     says that it has closed the file
 *   refuse    can't open it
 *
 * And of an audit, by the first file that is mapped:
 *
 *   answer    both agree                      differ  the second frame differs
 *   again     the file was closed, at first   die, hang, nonsense  as above
 *   slow again  the same, after a while
 *
 * Without one it finds no rule for the first frame.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/packet.h"
#include "spprof/v1/symbolizer.pb-c.h"

#define SOCKET	  3
#define MAX_FILES 4096
#define BATCH	  SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS

#ifndef FAKE_PROTOCOL
#define FAKE_PROTOCOL SPPROF__V1__SYMBOLIZER_BOUND__PROTOCOL
#endif

static char words[MAX_FILES][16]; /* by key */
static unsigned opened_count;

static void send_reply(const Spprof__V1__SymbolizerReply *reply)
{
	static uint8_t bytes[1 << 20];
	size_t size = spprof__v1__symbolizer_reply__pack(reply, bytes);
	if (packet_send(SOCKET, bytes, size, -1, 0) < 0)
		exit(EXIT_FAILURE);
}

static void send_error(uint32_t file, int error)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = file;
	reply.error = error;
	send_reply(&reply);
}

static void send_ready(void)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	Spprof__V1__SymbolizerReady ready = SPPROF__V1__SYMBOLIZER_READY__INIT;
	ready.protocol = FAKE_PROTOCOL;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_READY;
	reply.ready = &ready;
	send_reply(&reply);
}

static void open_file(uint32_t file, int fd)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	Spprof__V1__SymbolizerOpened opened = SPPROF__V1__SYMBOLIZER_OPENED__INIT;
	char *word = words[file % MAX_FILES];
	ssize_t size = pread(fd, word, sizeof(words[0]) - 1, 0);
	word[size > 0 ? size : 0] = '\0';
	opened_count++;
	if (strcmp(word, "refuse") == 0) {
		send_error(file, ENOEXEC);
		return;
	}
	opened.has_lines = 1;
	opened.build_id = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"\xab\x01"};
	reply.file = file;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED;
	reply.opened = &opened;
	send_reply(&reply);
}

static ProtobufCBinaryData text(const char *s)
{
	return (ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)s};
}

static void fill_ugly(Spprof__V1__SymbolizerLine *line)
{
	static uint8_t name[5000];
	memset(name, 'x', sizeof(name));
	memcpy(name, "a\n\x1b[31m\xff\xc3\xa9", 10);
	line->function = (ProtobufCBinaryData){.len = sizeof(name), .data = name};
	line->function_system = line->file = line->function;
}

static void send_answers(
	uint32_t file, const char *word, const uint64_t *offsets, size_t count, int more)
{
	static char names[BATCH][64];
	static Spprof__V1__SymbolizerLine lines[BATCH], *line_lists[BATCH][1];
	static Spprof__V1__SymbolizerAnswer storage[BATCH], *list[BATCH];
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	Spprof__V1__SymbolizerAnswers answers = SPPROF__V1__SYMBOLIZER_ANSWERS__INIT;
	for (size_t i = 0; i < count; i++) {
		spprof__v1__symbolizer_line__init(&lines[i]);
		spprof__v1__symbolizer_answer__init(&storage[i]);
		if (strcmp(word, "opens") == 0)
			snprintf(names[i], sizeof(names[i]), "opened %u", opened_count);
		else
			snprintf(names[i], sizeof(names[i]), "f%" PRIx64, offsets[i]);
		lines[i].function = text(names[i]);
		lines[i].file = text("fake.c");
		lines[i].line = (uint32_t)offsets[i];
		if (strcmp(word, "ugly") == 0)
			fill_ugly(&lines[i]);
		line_lists[i][0] = &lines[i];
		storage[i].offset = offsets[i] + (strcmp(word, "nonsense") == 0);
		storage[i].lines = line_lists[i];
		storage[i].n_lines = 1;
		list[i] = &storage[i];
	}
	answers.answers = list;
	answers.n_answers = count;
	answers.more = more;
	reply.file = file;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_ANSWERS;
	reply.answers = &answers;
	send_reply(&reply);
}

static void look_up(uint32_t file, const Spprof__V1__SymbolizerLookup *lookup)
{
	const char *word = words[file % MAX_FILES];
	if (strcmp(word, "die") == 0)
		_exit(9);
	if (strcmp(word, "hang") == 0)
		for (;;)
			pause();
	if (strcmp(word, "stale") == 0) {
		send_error(file, ESTALE);
	} else if (strcmp(word, "half") == 0) {
		send_answers(file, word, lookup->offsets, 1, lookup->n_offsets > 1);
		_exit(9);
	} else if (strcmp(word, "pieces") == 0) {
		for (size_t i = 0; i < lookup->n_offsets; i++)
			send_answers(file, word, lookup->offsets + i, 1, i + 1 < lookup->n_offsets);
	} else if (strcmp(word, "ugly") == 0) {
		for (size_t i = 0; i < lookup->n_offsets; i++)
			send_answers(file, word, lookup->offsets + i, 1, i + 1 < lookup->n_offsets);
	} else {
		send_answers(file, word, lookup->offsets, lookup->n_offsets, 0);
	}
}

static void send_audited(uint32_t number, Spprof__V1__SymbolizerAudited__Verdict verdict,
	Spprof__V1__SymbolizerAudited__Stop stop, size_t frames)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	Spprof__V1__SymbolizerAudited audited = SPPROF__V1__SYMBOLIZER_AUDITED__INIT;
	audited.verdict = verdict;
	audited.stop = stop;
	audited.frames = (uint32_t)frames;
	reply.file = number;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_AUDITED;
	reply.audited = &audited;
	send_reply(&reply);
}

static void audit_stack(uint32_t number, const Spprof__V1__SymbolizerAudit *audit)
{
	static bool told;
	const char *word = audit->n_mappings ? words[audit->mappings[0]->file % MAX_FILES] : "";
	if (strcmp(word, "die") == 0)
		_exit(9);
	if (strcmp(word, "hang") == 0)
		for (;;)
			pause();
	if ((strcmp(word, "again") == 0 || strcmp(word, "slow again") == 0) && !told) {
		told = true;
		usleep(*word == 's' ? 100000 : 0);
		send_error(number, ESTALE);
	} else if (strcmp(word, "nonsense") == 0) {
		send_audited(number, SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__AGREED,
			SPPROF__V1__SYMBOLIZER_AUDITED__STOP__OUTERMOST, audit->n_frames + 1);
	} else if (strcmp(word, "differ") == 0) {
		send_audited(number, SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__DIFFERENT,
			SPPROF__V1__SYMBOLIZER_AUDITED__STOP__NONE, 1);
	} else if (*word == '\0') {
		send_audited(number, SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__LONGER,
			SPPROF__V1__SYMBOLIZER_AUDITED__STOP__NO_INFO, 1);
	} else {
		send_audited(number, SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__AGREED,
			SPPROF__V1__SYMBOLIZER_AUDITED__STOP__OUTERMOST, audit->n_frames);
	}
}

int main(void)
{
	send_ready();
	for (;;) {
		uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES];
		int fd;
		ssize_t size = packet_receive(SOCKET, bytes, sizeof(bytes), &fd, 0);
		if (size <= 0)
			return EXIT_SUCCESS;
		Spprof__V1__SymbolizerRequest *request =
			spprof__v1__symbolizer_request__unpack(NULL, (size_t)size, bytes);
		if (!request)
			return EXIT_FAILURE;
		if (request->kind_case == SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN)
			open_file(request->file, fd);
		else if (request->kind_case == SPPROF__V1__SYMBOLIZER_REQUEST__KIND_LOOKUP)
			look_up(request->file, request->lookup);
		else if (request->kind_case == SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT)
			audit_stack(request->file, request->audit);
		if (fd >= 0)
			close(fd);
		spprof__v1__symbolizer_request__free_unpacked(request, NULL);
	}
}
