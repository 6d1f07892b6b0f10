/* Everything is relative, so the bytes are built anywhere and copied in front of the guard page. */
#define _GNU_SOURCE
#include "cfi_object.h"
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include "unwind/arch.h"

enum { PAGE = 4096 };

uint8_t cfi_object_bytes[CFI_OBJECT_MAX];
size_t cfi_object_size;
static uint8_t *guard; /* memory ends here */

void cfi_object_init(void)
{
	uint8_t *memory = mmap(NULL, CFI_OBJECT_MAX + PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	guard = memory + CFI_OBJECT_MAX;
	ck_assert_int_eq(mprotect(guard, PAGE, PROT_NONE), 0);
}

void cfi_object_put(const void *bytes, size_t size)
{
	if (cfi_object_size + size > CFI_OBJECT_MAX)
		ck_abort_msg("too large an object");
	if (size)
		memcpy(cfi_object_bytes + cfi_object_size, bytes, size);
	cfi_object_size += size;
}

void cfi_object_put_u8(unsigned value)
{
	uint8_t byte = (uint8_t)value;
	cfi_object_put(&byte, 1);
}

void cfi_object_put_u32(uint32_t value)
{
	cfi_object_put(&value, sizeof(value));
}

/* The length of the entry that begins at `start`, now that it is there; padded like an assembler
 * does. */
void cfi_object_close_entry(size_t start)
{
	while (cfi_object_size % 4)
		cfi_object_put_u8(0);
	uint32_t length = (uint32_t)(cfi_object_size - start - 4);
	memcpy(cfi_object_bytes + start, &length, sizeof(length));
}

void cfi_object_put_cie(const struct cfi_entry *entry)
{
	static const uint8_t relative[] = {0x1b};
	const char *augmentation = entry->augmentation ? entry->augmentation : "zR";
	size_t start = cfi_object_size;
	cfi_object_put_u32(0);
	cfi_object_put_u32(0);
	cfi_object_put_u8(entry->version ? entry->version : 1);
	cfi_object_put(augmentation, strlen(augmentation) + 1);
	cfi_object_put_u8(1);	 /* code alignment */
	cfi_object_put_u8(0x78); /* data alignment: -8 */
	cfi_object_put_u8(ARCH_DWARF_RA);
	if (augmentation[0] == 'z') {
		size_t size = entry->augmentation_data ? entry->augmentation_size : 1;
		cfi_object_put_u8((unsigned)size);
		cfi_object_put(
			entry->augmentation_data ? entry->augmentation_data : relative, size);
	}
	cfi_object_put(entry->common.bytes, entry->common.size);
	cfi_object_close_entry(start);
}

void cfi_object_build(const struct cfi_entry *entry)
{
	cfi_object_size = CFI_OBJECT_HEADER_BYTES;
	cfi_object_put_cie(entry);
	uint32_t fde = (uint32_t)cfi_object_size;
	cfi_object_put_u32(0);
	cfi_object_put_u32(fde + 4 - CFI_OBJECT_HEADER_BYTES);
	cfi_object_put_u32(CFI_OBJECT_CODE_OFFSET - (uint32_t)cfi_object_size);
	cfi_object_put_u32(CFI_OBJECT_CODE_BYTES);
	if (!entry->augmentation || entry->augmentation[0] == 'z')
		cfi_object_put_u8(0);
	cfi_object_put(entry->own.bytes, entry->own.size);
	cfi_object_close_entry(fde);
	uint32_t header[] = {
		0x3b031b01, CFI_OBJECT_HEADER_BYTES - 4, 1, CFI_OBJECT_CODE_OFFSET, fde};
	memcpy(cfi_object_bytes, header, sizeof(header));
}

/* Asks for the rule `offset` bytes into the function, with the object's end at the guard page. */
static struct cfi_object place_object(void)
{
	uintptr_t end = (uintptr_t)guard, start = end - cfi_object_size;
	memcpy(guard - cfi_object_size, cfi_object_bytes, cfi_object_size);
	return (struct cfi_object){start, end, start};
}

enum cfi_verdict cfi_object_find(uint32_t offset, struct cfi_step *step)
{
	struct cfi_object object = place_object();
	memset(step, 0x55, sizeof(*step));
	return cfi_find(&object, object.start + CFI_OBJECT_CODE_OFFSET + offset, step);
}

bool cfi_object_begins(uint32_t offset)
{
	struct cfi_object object = place_object();
	return cfi_begins(&object, object.start + CFI_OBJECT_CODE_OFFSET + offset);
}

uintptr_t cfi_object_code(void)
{
	return (uintptr_t)guard - cfi_object_size + CFI_OBJECT_CODE_OFFSET;
}

void cfi_object_assert_step(uint32_t offset, const struct cfi_step *expected)
{
	struct cfi_step step;
	ck_assert_int_eq(cfi_object_find(offset, &step), CFI_STEP);
	ck_assert_int_eq(step.cfa_offset, expected->cfa_offset);
	ck_assert_int_eq(step.base_is_fp, expected->base_is_fp);
	ck_assert_int_eq(step.base_is_third, expected->base_is_third);
	ck_assert_int_eq(step.dereferenced, expected->dereferenced);
	ck_assert_int_eq(step.cfa_addend, expected->cfa_addend);
	ck_assert_int_eq(step.fp, expected->fp);
	ck_assert_int_eq(step.fp_offset, expected->fp_offset);
}
