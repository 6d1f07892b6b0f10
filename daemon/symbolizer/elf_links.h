/*
 * What an ELF file says about itself and about where its debug information is: copies, so that they
 * outlive the handle. Pure but for reading the handle; malformed parts count as absent.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <libelf.h>

#define ELF_LINKS_ID_BYTES   64
#define ELF_LINKS_PATH_BYTES 1024

struct elf_id {
	uint8_t bytes[ELF_LINKS_ID_BYTES];
	size_t size; /* 0: none */
};

struct elf_links {
	struct elf_id build_id;
	bool has_dwarf;
	char debug_link[256]; /* .gnu_debuglink: a file name; "" if absent */
	uint32_t debug_crc;
	char supplement_path[ELF_LINKS_PATH_BYTES]; /* .gnu_debugaltlink; "" if absent */
	struct elf_id supplement_id;
};

void elf_links_read(struct elf_links *out, Elf *elf);
bool elf_links_same_id(
	const struct elf_id *a, const struct elf_id *b); /* false if both are absent */
