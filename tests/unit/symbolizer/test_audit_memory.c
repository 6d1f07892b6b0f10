/* What the real spprof-symbolizer may take where it audits stacks, by files that are large, and one
 * whose rule tells to remember a state two million times. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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
#include "support/tap_main.h"

#define MIB	       ((size_t)1 << 20)
#define SOCKET_FD      3
#define CODE	       0xc0
#define TABLE	       0x100
#define RULES	       0x200
#define STATES	       (2u << 20)
#define REMEMBER_STATE 0x0a

static int helper_end;
static pid_t child;

/* False: it has ended. */
static bool receive(Spprof__V1__SymbolizerReply **reply)
{
	static uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REPLY_BYTES];
	ssize_t size = packet_receive(helper_end, bytes, sizeof(bytes), NULL, 0);
	if (size <= 0)
		return false;
	*reply = spprof__v1__symbolizer_reply__unpack(NULL, (size_t)size, bytes);
	ck_assert_ptr_nonnull(*reply);
	return true;
}

static int receive_error(void)
{
	Spprof__V1__SymbolizerReply *reply;
	ck_assert(receive(&reply));
	int error = reply->error;
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
	return error;
}

static void setup(void)
{
	char program[4096];
	int ends[2];
	const char *build = getenv("BUILDDIR");
	snprintf(program, sizeof(program), "%s/spprof-symbolizer", build ? build : ".");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	if (child == 0) {
		int moved = fcntl(ends[1], F_DUPFD, 10);
		dup2(moved, SOCKET_FD);
		execl(program, "spprof-symbolizer", "audits", NULL);
		_exit(127);
	}
	close(ends[1]);
	helper_end = ends[0];
	ck_assert_int_eq(receive_error(), 0);
}

static void teardown(void)
{
	close(helper_end);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void send_request(const Spprof__V1__SymbolizerRequest *request, int fd)
{
	uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES];
	size_t size = spprof__v1__symbolizer_request__pack(request, bytes);
	ck_assert_int_eq(packet_send(helper_end, bytes, size, fd, 0), 0);
}

static int open_file(uint32_t key, int fd)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerOpen open = SPPROF__V1__SYMBOLIZER_OPEN__INIT;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN;
	request.open = &open;
	send_request(&request, fd);
	close(fd);
	return receive_error();
}

static void put_header(uint8_t *image, size_t size)
{
	Elf64_Ehdr header = {.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2};
	Elf64_Phdr segments[] = {
		{.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_filesz = size,
			.p_memsz = size,
			.p_align = 4096},
		{.p_type = PT_GNU_EH_FRAME,
			.p_flags = PF_R,
			.p_offset = TABLE,
			.p_vaddr = TABLE,
			.p_filesz = 20,
			.p_memsz = 20},
	};
	memcpy(header.e_ident, ELFMAG, SELFMAG);
	header.e_ident[EI_CLASS] = ELFCLASS64;
	header.e_ident[EI_DATA] = ELFDATA2LSB;
	header.e_ident[EI_VERSION] = EV_CURRENT;
	memcpy(image, &header, sizeof(header));
	memcpy(image + sizeof(header), segments, sizeof(segments));
}

static void put_word(uint8_t *image, size_t at, uint32_t value)
{
	memcpy(image + at, &value, sizeof(value));
}

/* One function, whose rule begins with so many states to be remembered. */
static int make_file(uint32_t states)
{
	static const uint8_t table[] = {1, 0x1b, 0x03, 0x3b},
			     common[] = {20, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, 16, 1,
				     0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0};
	size_t rule = RULES + sizeof(common), size = rule + 17 + states + 8;
	uint8_t *image = calloc(1, size);
	ck_assert_ptr_nonnull(image);
	put_header(image, size);
	memcpy(image + TABLE, table, sizeof(table));
	put_word(image, TABLE + 4, RULES - (TABLE + 4));
	put_word(image, TABLE + 8, 1);
	put_word(image, TABLE + 12, (uint32_t)(CODE - TABLE));
	put_word(image, TABLE + 16, (uint32_t)(rule - TABLE));
	memcpy(image + RULES, common, sizeof(common));
	put_word(image, rule, 13 + states);
	put_word(image, rule + 4, (uint32_t)(rule + 4 - RULES));
	put_word(image, rule + 8, (uint32_t)(CODE - (rule + 8)));
	put_word(image, rule + 12, 32);
	memset(image + rule + 17, REMEMBER_STATE, states);
	int fd = memfd_create("rules", MFD_CLOEXEC);
	for (size_t at = 0; at < size;) {
		ssize_t written = write(fd, image + at, size - at);
		ck_assert_int_gt(written, 0);
		at += (size_t)written;
	}
	free(image);
	return fd;
}

/* Of a stack of two frames, the inner one that file's. */
static void ask(uint32_t key)
{
	enum { BASE = 0x10000000, CALLER = 0x20000001 };
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerAudit audit = SPPROF__V1__SYMBOLIZER_AUDIT__INIT;
	Spprof__V1__SymbolizerMapping mapping = SPPROF__V1__SYMBOLIZER_MAPPING__INIT,
				      *mappings[] = {&mapping};
	uint64_t frames[] = {BASE + CODE + 8, CALLER}, stack[8] = {CALLER};
	request.file = 1;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT;
	request.audit = &audit;
	audit.pc = frames[0];
	audit.sp = 0x7000000;
	audit.stack = (ProtobufCBinaryData){sizeof(stack), (uint8_t *)stack};
	audit.frames = frames;
	audit.n_frames = 2;
	audit.mappings = mappings;
	audit.n_mappings = 1;
	mapping.file = key;
	mapping.address = BASE + CODE;
	mapping.offset = CODE;
	send_request(&request, -1);
}

static int make_large_file(size_t size)
{
	int fd = make_file(0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static uint32_t receive_frames(void)
{
	Spprof__V1__SymbolizerReply *reply;
	ck_assert(receive(&reply));
	ck_assert_int_eq(reply->kind_case, SPPROF__V1__SYMBOLIZER_REPLY__KIND_AUDITED);
	uint32_t frames = reply->audited->frames;
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
	return frames;
}

START_TEST(a_rule_of_the_tests_own_is_followed)
{
	ck_assert_int_eq(open_file(1, make_file(1)), 0);
	ask(1);
	ck_assert_uint_eq(receive_frames(), 2);
}
END_TEST

START_TEST(its_address_space_has_room_for_large_files_and_little_more)
{
	/* The second one takes the first one's place. */
	ck_assert_int_eq(open_file(1, make_large_file(480 * MIB)), 0);
	ck_assert_int_eq(open_file(2, make_large_file(480 * MIB)), 0);
	ck_assert_int_eq(open_file(3, make_large_file(520 * MIB)), EFBIG);
	ck_assert_int_eq(open_file(3, make_large_file(MIB)), 0);
}
END_TEST

/* libunwind 1.6 waits for itself when it gets no more; spprofd ends it then. */
START_TEST(what_a_rule_has_remembered_stays_small)
{
	struct pollfd answer = {.fd = helper_end, .events = POLLIN};
	struct rusage usage;
	ck_assert_int_eq(open_file(1, make_file(STATES)), 0);
	ask(1);
	poll(&answer, 1, 3000);
	kill(child, SIGKILL);
	ck_assert_int_eq(wait4(child, NULL, 0, &usage), child);
	ck_assert_uint_le((size_t)usage.ru_maxrss << 10, 100 * MIB);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("audit_memory");
	TCase *t = tcase_create("audit_memory");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
#if defined(__x86_64__)
	tcase_add_test(t, a_rule_of_the_tests_own_is_followed);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	tcase_add_test(t, its_address_space_has_room_for_large_files_and_little_more);
	tcase_add_test(t, what_a_rule_has_remembered_stays_small);
#endif
#endif
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
