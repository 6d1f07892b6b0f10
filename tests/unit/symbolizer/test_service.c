/* service: the symbolizer's loop behind a socket pair, asked well and badly. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/packet.h"
#include "spprof/v1/symbolizer.pb-c.h"
#include "symbolizer/answer_set.h"
#include "symbolizer/file_cache.h"
#include "symbolizer/service.h"
#include "places.h"
#include "support/tap_main.h"

#define LOOKUP_OFFSETS SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS
#define MAPPED_BYTES   ((uint64_t)2 << 30)
#define REPLY_BYTES    SPPROF__V1__SYMBOLIZER_BOUND__REPLY_BYTES

static const struct file_cache_bounds bounds = {MAPPED_BYTES, (uint64_t)1 << 30, UINT64_MAX};
static int daemon_end;
static pid_t child;

static Spprof__V1__SymbolizerReply *receive(void)
{
	uint8_t bytes[REPLY_BYTES];
	int fd;
	ssize_t size = packet_receive(daemon_end, bytes, sizeof(bytes), &fd, 0);
	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(fd, -1);
	Spprof__V1__SymbolizerReply *reply =
		spprof__v1__symbolizer_reply__unpack(NULL, (size_t)size, bytes);
	ck_assert_ptr_nonnull(reply);
	return reply;
}

static void drop(Spprof__V1__SymbolizerReply *reply)
{
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
}

static void setup(void)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		_exit(service_run(ends[1], &bounds) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[1]);
	daemon_end = ends[0];
	Spprof__V1__SymbolizerReply *reply = receive();
	ck_assert_int_eq(reply->kind_case, SPPROF__V1__SYMBOLIZER_REPLY__KIND_READY);
	ck_assert_uint_eq(reply->ready->protocol, SPPROF__V1__SYMBOLIZER_BOUND__PROTOCOL);
	drop(reply);
}

static int end_of_service(void)
{
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void send_request(const Spprof__V1__SymbolizerRequest *request, int fd)
{
	static uint8_t bytes[1 << 20];
	size_t size = spprof__v1__symbolizer_request__pack(request, bytes);
	ck_assert_int_eq(packet_send(daemon_end, bytes, size, fd, 0), 0);
	if (fd >= 0)
		close(fd);
}

static void send_open(uint32_t key, int fd)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerOpen body = SPPROF__V1__SYMBOLIZER_OPEN__INIT;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN;
	request.open = &body;
	send_request(&request, fd);
}

static void send_attach(uint32_t key, Spprof__V1__SymbolizerAttach__Role role, int fd)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerAttach body = SPPROF__V1__SYMBOLIZER_ATTACH__INIT;
	body.role = role;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_ATTACH;
	request.attach = &body;
	send_request(&request, fd);
}

static void send_lookup(uint32_t key, uint64_t *offsets, size_t count)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerLookup body = SPPROF__V1__SYMBOLIZER_LOOKUP__INIT;
	body.offsets = offsets;
	body.n_offsets = count;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_LOOKUP;
	request.lookup = &body;
	send_request(&request, -1);
}

static int open_variant(const char *name)
{
	int fd = open(places_path(name), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void assert_error(uint32_t key, int error)
{
	Spprof__V1__SymbolizerReply *reply = receive();
	ck_assert_uint_eq(reply->file, key);
	ck_assert_int_eq(reply->error, error);
	drop(reply);
}

static void open_well(uint32_t key, const char *name)
{
	send_open(key, open_variant(name));
	Spprof__V1__SymbolizerReply *reply = receive();
	ck_assert_int_eq(reply->error, 0);
	ck_assert_int_eq(reply->kind_case, SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED);
	ck_assert_uint_eq(reply->file, key);
	drop(reply);
}

/* Of a stack of nothing, whose one frame lies in this file if `file` is not 0. */
static void send_audit(uint32_t number, uint32_t file, size_t frame_count, size_t mapping_count)
{
	static uint64_t frames[1024] = {0x401000};
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerAudit body = SPPROF__V1__SYMBOLIZER_AUDIT__INIT;
	Spprof__V1__SymbolizerMapping mapping = SPPROF__V1__SYMBOLIZER_MAPPING__INIT;
	Spprof__V1__SymbolizerMapping *mappings[64];
	for (size_t i = 0; i < 64; i++)
		mappings[i] = &mapping;
	mapping.file = file;
	body.pc = frames[0];
	body.sp = 0x7000;
	body.frames = frames;
	body.n_frames = frame_count;
	body.mappings = mappings;
	body.n_mappings = mapping_count;
	request.file = number;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT;
	request.audit = &body;
	send_request(&request, -1);
}

START_TEST(an_audit_gets_a_verdict_or_an_error)
{
	send_audit(7, 0, 2, 0);
	Spprof__V1__SymbolizerReply *reply = receive();
	ck_assert_uint_eq(reply->file, 7);
	ck_assert_int_eq(reply->kind_case, SPPROF__V1__SYMBOLIZER_REPLY__KIND_AUDITED);
	ck_assert_int_eq(reply->audited->verdict, SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__LONGER);
	ck_assert_int_eq(reply->audited->stop, SPPROF__V1__SYMBOLIZER_AUDITED__STOP__NO_INFO);
	ck_assert_uint_eq(reply->audited->frames, 1);
	drop(reply);
	send_audit(8, 99, 2, 1);
	assert_error(8, ESTALE);
	send_audit(9, 0, 0, 0);
	assert_error(9, EINVAL);
	send_audit(10, 0, 513, 0);
	assert_error(10, EINVAL);
	send_audit(11, 0, 1, 49);
	assert_error(11, EINVAL);
}
END_TEST

START_TEST(it_ends_when_the_daemon_closes_the_socket)
{
	close(daemon_end);
	ck_assert_int_eq(end_of_service(), EXIT_SUCCESS);
}
END_TEST

START_TEST(it_ends_when_the_daemon_does_not_wait_for_the_answer)
{
	uint64_t offsets[LOOKUP_OFFSETS] = {0};
	open_well(1, "fixture-pie");
	for (int i = 0; i < 8; i++)
		send_lookup(1, offsets, LOOKUP_OFFSETS);
	close(daemon_end);
	ck_assert_int_eq(end_of_service(), EXIT_SUCCESS);
}
END_TEST

START_TEST(noise_ends_it)
{
	uint8_t noise[100];
	memset(noise, 0xff, sizeof(noise));
	ck_assert_int_eq(packet_send(daemon_end, noise, sizeof(noise), -1, 0), 0);
	ck_assert_int_eq(end_of_service(), EXIT_FAILURE);
}
END_TEST

START_TEST(a_packet_larger_than_agreed_ends_it)
{
	static uint8_t large[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES + 1];
	ck_assert_int_eq(packet_send(daemon_end, large, sizeof(large), -1, 0), 0);
	ck_assert_int_eq(end_of_service(), EXIT_FAILURE);
}
END_TEST

START_TEST(an_open_without_a_file_ends_it)
{
	send_open(1, -1);
	ck_assert_int_eq(end_of_service(), EXIT_FAILURE);
}
END_TEST

START_TEST(what_it_does_not_have_is_stale)
{
	uint64_t offset = 0;
	send_lookup(7, &offset, 1);
	assert_error(7, ESTALE);
	send_attach(7, SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__DEBUG, open_variant("variants/full"));
	assert_error(7, ESTALE);
}
END_TEST

START_TEST(bad_requests_about_good_files_are_answered)
{
	uint64_t offsets[LOOKUP_OFFSETS + 1] = {0};
	open_well(1, "variants/linked");
	send_lookup(1, offsets, LOOKUP_OFFSETS + 1);
	assert_error(1, EINVAL);
	send_attach(1, SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__ROLE_UNSPECIFIED,
		open_variant("variants/linked.debug"));
	assert_error(1, EINVAL);
	send_attach(1, SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__DEBUG, open_variant("fixture-exec"));
	assert_error(1, ENOEXEC);
	send_open(2, memfd_create("empty", MFD_CLOEXEC));
	assert_error(2, ENOEXEC);
}
END_TEST

START_TEST(the_file_used_least_recently_is_closed)
{
	uint64_t offset = 0;
	for (uint32_t key = 1; key <= FILE_CACHE_FILES; key++)
		open_well(key, "variants/stripped");
	send_lookup(1, &offset, 1); /* used: now 2 is the oldest */
	drop(receive());
	open_well(1000, "variants/stripped");
	send_lookup(2, &offset, 1);
	assert_error(2, ESTALE);
	send_lookup(1, &offset, 1);
	assert_error(1, 0);
	send_lookup(1000, &offset, 1);
	assert_error(1000, 0);
}
END_TEST

/* Sparse: what counts is the address space that a mapped file takes. */
static int open_large(off_t size)
{
	uint8_t image[1 << 15];
	int from = open_variant("variants/stripped"), fd = memfd_create("large", MFD_CLOEXEC);
	ssize_t got = read(from, image, sizeof(image));
	ck_assert_int_gt(got, 0);
	ck_assert_int_eq(write(fd, image, (size_t)got), got);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	close(from);
	return fd;
}

START_TEST(large_files_are_closed_earlier)
{
	uint64_t offset = 0;
	for (uint32_t key = 1; key <= 3; key++) {
		send_open(key, open_large((off_t)(MAPPED_BYTES / 5 * 2)));
		assert_error(key, 0);
	}
	send_lookup(1, &offset, 1);
	assert_error(1, ESTALE);
	send_lookup(2, &offset, 1);
	assert_error(2, 0);
	send_lookup(3, &offset, 1);
	assert_error(3, 0);
}
END_TEST

START_TEST(room_for_a_large_file_is_made_before_it_is_mapped)
{
	uint64_t offset = 0;
	struct rlimit limit = {0};
	ck_assert_int_eq(prlimit(child, RLIMIT_AS, NULL, &limit), 0);
	/* Holds one of them beside the rest, and not two. */
	limit.rlim_cur = MAPPED_BYTES / 2 * 3;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	ck_assert_int_eq(prlimit(child, RLIMIT_AS, &limit, NULL), 0);
#endif
	for (uint32_t key = 1; key <= 3; key++) {
		send_open(key, open_large((off_t)(MAPPED_BYTES / 5 * 4)));
		assert_error(key, 0);
	}
	send_lookup(2, &offset, 1);
	assert_error(2, ESTALE);
	send_lookup(3, &offset, 1);
	assert_error(3, 0);
}
END_TEST

START_TEST(long_answers_come_in_several_replies_and_in_order)
{
	struct places places;
	uint64_t offsets[LOOKUP_OFFSETS];
	size_t answered = 0, replies = 0;
	bool more = true;
	places_read(&places, places_path("fixture-pie"));
	open_well(1, "fixture-pie");
	for (size_t i = 0; i < LOOKUP_OFFSETS; i++)
		offsets[i] = places.items[i % places.count].offset;
	send_lookup(1, offsets, LOOKUP_OFFSETS);
	for (; more; replies++) {
		Spprof__V1__SymbolizerReply *reply = receive();
		ck_assert_int_eq(reply->kind_case, SPPROF__V1__SYMBOLIZER_REPLY__KIND_ANSWERS);
		ck_assert_uint_gt(reply->answers->n_answers, 0);
		for (size_t i = 0; i < reply->answers->n_answers; i++, answered++) {
			const Spprof__V1__SymbolizerAnswer *answer = reply->answers->answers[i];
			ck_assert_uint_lt(answered, LOOKUP_OFFSETS);
			ck_assert_uint_eq(answer->offset, offsets[answered]);
			ck_assert_uint_eq(
				answer->n_lines, places.items[answered % places.count].line_count);
		}
		more = reply->answers->more;
		drop(reply);
	}
	ck_assert_uint_eq(answered, LOOKUP_OFFSETS);
	ck_assert_uint_gt(replies, 1);
}
END_TEST

/* A reply at its largest: a set that is nearly full and the longest answer there is. */
START_TEST(the_longest_answers_fit_into_a_reply)
{
	static char name[4000], path[4000];
	struct answer_set set = {0};
	struct dwarf_line lines[64];
	memset(name, 'n', sizeof(name) - 1);
	memset(path, 'p', sizeof(path) - 1);
	strcpy(path + sizeof(path) - 6, "end.c");
	for (size_t i = 0; i < 64; i++)
		lines[i] = (struct dwarf_line){.function = name, .file = path, .line = (uint32_t)i};
	lines[63].function = "main";
	while (!answer_set_is_full(&set))
		answer_set_add(&set, UINT64_MAX, lines, set.count ? 64 : 1);
	answer_set_add(&set, UINT64_MAX, lines, 64);

	Spprof__V1__SymbolizerAnswers answers = SPPROF__V1__SYMBOLIZER_ANSWERS__INIT;
	answers.answers = set.list;
	answers.n_answers = set.count;
	ck_assert_uint_lt(
		spprof__v1__symbolizer_answers__get_packed_size(&answers), REPLY_BYTES - 64);
	const Spprof__V1__SymbolizerAnswer *last = set.list[set.count - 1];
	ck_assert_uint_ge(last->n_lines, 8);
	ck_assert_uint_le(last->n_lines, SPPROF__V1__SYMBOLIZER_BOUND__LINES);
	ck_assert_uint_eq(
		last->lines[0]->function.len, SPPROF__V1__SYMBOLIZER_BOUND__FUNCTION_NAME_BYTES);
	ck_assert_uint_eq(last->lines[0]->line, 0);
	ck_assert_uint_eq(last->lines[last->n_lines - 1]->line, 63); /* the function itself stays */
	const ProtobufCBinaryData *file = &last->lines[0]->file;
	ck_assert_uint_eq(file->len, SPPROF__V1__SYMBOLIZER_BOUND__FILE_NAME_BYTES);
	ck_assert_int_eq(memcmp(file->data + file->len - 5, "end.c", 5), 0);
	answer_set_deinit(&set);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("service");
	TCase *t = tcase_create("service");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, it_ends_when_the_daemon_closes_the_socket);
	tcase_add_test(t, it_ends_when_the_daemon_does_not_wait_for_the_answer);
	tcase_add_test(t, noise_ends_it);
	tcase_add_test(t, a_packet_larger_than_agreed_ends_it);
	tcase_add_test(t, an_open_without_a_file_ends_it);
	tcase_add_test(t, what_it_does_not_have_is_stale);
	tcase_add_test(t, an_audit_gets_a_verdict_or_an_error);
	tcase_add_test(t, bad_requests_about_good_files_are_answered);
	tcase_add_test(t, the_file_used_least_recently_is_closed);
	tcase_add_test(t, large_files_are_closed_earlier);
	tcase_add_test(t, room_for_a_large_file_is_made_before_it_is_mapped);
	tcase_add_test(t, long_answers_come_in_several_replies_and_in_order);
	tcase_add_test(t, the_longest_answers_fit_into_a_reply);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
