/*
 * Code objects as CPython 3.12 lays them out, made by a test: for codes, frames and unicode. Header only.
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "python/layout.h"

struct fake_string {
	uint64_t head[2];
	uint64_t length;
	int64_t hash;
	uint32_t state, padding;
	uint8_t data[4096]; /* of ASCII; others begin 16 bytes later */
};

struct fake_bytes {
	uint64_t head[2];
	uint64_t size;
	int64_t hash;
	uint8_t data[40000];
};

struct fake_code {
	uint64_t refcount;
	const void *type;
	uint8_t before[52];
	int32_t first_line; /* 68 */
	uint8_t between[20];
	uint32_t version; /* 92 */
	uint8_t more[16];
	struct fake_string *file; /* 112 */
	void *short_name;
	struct fake_string *name; /* 128 */
	struct fake_bytes *lines; /* 136 */
	uint8_t rest[48];
	uint16_t units[64]; /* 192 */
};

_Static_assert(offsetof(struct fake_code, units) == 192, "as in 3.12");

static inline struct layout fake_layout(void)
{
	struct layout layout;

	if (!layout_known(0x30c, &layout))
		abort();
	return layout;
}

/* A compact string of `kind` bytes a character. */
static inline void fake_string_set(
	struct fake_string *string, const void *characters, uint64_t length, uint8_t kind)
{
	const char *bytes = characters;
	int ascii = kind == 1;

	for (uint64_t i = 0; ascii && i < length; i++)
		ascii = bytes[i] >= 0;
	string->length = length;
	string->hash = -1;
	string->state = (uint32_t)(kind << 2 | 1 << 5 | ascii << 6);
	memcpy(string->data + (ascii ? 0 : 16), characters, length * kind);
}

static inline void fake_code_set(
	struct fake_code *code, const char *name, const char *file, int32_t line, unsigned table)
{
	fake_string_set(code->name, name, strlen(name), 1);
	fake_string_set(code->file, file, strlen(file), 1);
	code->first_line = line;
	code->lines->size = 16;
	memset(code->lines->data, (int)(table & 0x7f), 16);
}

/* Never freed, and never lost either. */
struct fake_code_parts {
	struct fake_code code;
	struct fake_string name, file;
	struct fake_bytes lines;
	struct fake_code_parts *next;
};

static inline struct fake_code *fake_code_new(
	const char *name, const char *file, int32_t line, unsigned table)
{
	static _Atomic(struct fake_code_parts *) all;
	struct fake_code_parts *parts = calloc(1, sizeof *parts);

	parts->code.name = &parts->name;
	parts->code.file = &parts->file;
	parts->code.lines = &parts->lines;
	fake_code_set(&parts->code, name, file, line, table);
	parts->next = atomic_load(&all);
	while (!atomic_compare_exchange_weak(&all, &parts->next, parts))
		;
	return &parts->code;
}
