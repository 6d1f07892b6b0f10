/*
 * Objects with one function, written by hand: header, CIE and FDE around a program of the test's
 * choice, placed at the very end of readable memory. One at a time.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "unwind/cfi.h"

enum {
	CFI_OBJECT_MAX = 32 * 4096,
	CFI_OBJECT_CODE_OFFSET = 1 << 20, /* of the described function, from the header */
	CFI_OBJECT_CODE_BYTES = 0x200,
	CFI_OBJECT_HEADER_BYTES = 20,
};

struct cfi_program {
	const uint8_t *bytes;
	size_t size;
};

#define CFI_PROGRAM(...)                                                                           \
	((struct cfi_program){                                                                     \
		(const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})})

/* A call has pushed the return address: CFA = rsp + 8, ra at CFA - 8. */
#define CFI_AFTER_CALL CFI_PROGRAM(0x0c, 7, 8, 0x90, 1)

struct cfi_entry {
	const char *augmentation; /* "zR" unless told */
	const uint8_t
		*augmentation_data; /* of the CIE, without its length; pcrel|sdata4 unless told */
	size_t augmentation_size;
	struct cfi_program common, own;
	uint8_t version; /* 1 unless told */
};

/* What was built: tests may change it before they ask. */
extern uint8_t cfi_object_bytes[CFI_OBJECT_MAX];
extern size_t cfi_object_size;

/* Once per test. */
void cfi_object_init(void);

void cfi_object_build(const struct cfi_entry *entry);

/* The rule `offset` bytes into the function. */
enum cfi_verdict cfi_object_find(uint32_t offset, struct cfi_step *step);

/* Whether an entry is said to begin there. */
bool cfi_object_begins(uint32_t offset);

/* Where find() will see the function. */
uintptr_t cfi_object_code(void);

/* Fails the test unless the rule is this step. */
void cfi_object_assert_step(uint32_t offset, const struct cfi_step *expected);

/* The parts, for objects of another shape. */
void cfi_object_put(const void *bytes, size_t size);
void cfi_object_put_u8(unsigned value);
void cfi_object_put_u32(uint32_t value);
void cfi_object_put_cie(const struct cfi_entry *entry);
void cfi_object_close_entry(size_t start); /* fills in the length of the entry that begins there */
