/*
 * Any registers, frames and stack against the code of a real file: the program's own. A verdict must
 * come, and say no more than was told. Words of the stack that are small are taken as addresses of
 * code, so that walks get somewhere.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "symbolizer/audit.h"
#include "symbolizer/elf_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BIAS	    UINT64_C(0x555500000000)
#define SP	    UINT64_C(0x7ffe00000000)
#define STACK_BYTES 4096
#define MAX_FRAMES  64

struct head {
	uint32_t pc, fp; /* into the file, into the stack */
	uint8_t frame_count, end, whole, reserved;
};

static void check(int condition)
{
	if (!condition)
		abort();
}

static const struct elf_file *own_file(void)
{
	static struct elf_file *file;
	if (!file && elf_file_new(&file, open("/proc/self/exe", O_RDONLY | O_CLOEXEC)) < 0)
		abort();
	return file;
}

static uint64_t to_code(uint64_t word)
{
	return word >> 32 ? word : BIAS + word % (1u << 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct audit *audit;
	static uint64_t words[STACK_BYTES / 8], frames[MAX_FRAMES];
	struct audit_mapping mapping = {own_file(), BIAS};
	struct audit_result result;
	struct head head;
	if (size < sizeof(head) || (!audit && audit_new(&audit) < 0))
		return 0;
	memcpy(&head, data, sizeof(head));
	data += sizeof(head), size -= sizeof(head);
	size = size < STACK_BYTES ? size & ~(size_t)7 : STACK_BYTES;
	memcpy(words, data, size);
	for (size_t i = 0; i < size / 8; i++)
		words[i] = to_code(words[i]);
	for (size_t i = 0; i < MAX_FRAMES; i++)
		frames[i] = i < size / 8 ? words[i] : 0;
	struct audit_stack stack = {
		.pc = to_code(head.pc),
		.sp = SP,
		.fp = SP + head.fp % (2 * STACK_BYTES),
		.bytes = (const uint8_t *)words,
		.size = size,
		.whole = head.whole & 1,
		.frames = frames,
		.frame_count = 1 + head.frame_count % MAX_FRAMES,
		.end = head.end % 3,
		.mappings = &mapping,
		.mapping_count = 1,
	};
	audit_compare(audit, &stack, &result);
	check(result.frames >= 1 && result.frames <= stack.frame_count);
	check(result.verdict <= AUDIT_LONGER && result.stop <= AUDIT_STOP_FAILED);
	check(result.verdict != AUDIT_AGREED || result.frames == stack.frame_count);
	return 0;
}
