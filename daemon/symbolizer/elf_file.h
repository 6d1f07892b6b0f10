/*
 * One ELF program or library with its debug information: file offsets in, functions, files and
 * lines out. The file is hostile: any content gives an answer or an error, but libdw is large, so
 * what a bad file may still do is left to the process's limits and to the daemon's deadline. One
 * thread. Owns the descriptors given to it; opens nothing itself.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "symbolizer/dwarf_lines.h"
#include "symbolizer/elf_links.h"

struct elf_file;

/* Takes `fd` over in every case. -ENOEXEC: no ELF program or library; -EINVAL: not a regular file.
 */
int elf_file_new(struct elf_file **out, int fd);
struct elf_file *elf_file_free(struct elf_file *file);

const struct elf_links *elf_file_links(const struct elf_file *file);
/* Bytes of address space that the mapped files take. */
uint64_t elf_file_mapped_bytes(const struct elf_file *file);

/* The address, as in the program headers, of what lies at a file offset. False: in no segment. */
bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *address);
/* Whether code lies there. */
bool elf_file_has_code(const struct elf_file *file, uint64_t address);
/* Copies what the file maps read-only at `address`, at most `size` bytes. Returns how many. */
size_t elf_file_read(const struct elf_file *file, uint64_t address, void *out, size_t size);
/* Where .eh_frame_hdr lies. False: there is none. */
bool elf_file_unwind_table(const struct elf_file *file, uint64_t *address, uint64_t *size);

/*
 * Separate debug information, before the first elf_file_resolve (-EBUSY later). Takes `fd` over in
 * every case. -ENOEXEC if it is not the one meant: the build id decides, or for a .debug file of a
 * file that has none, the checksum in .gnu_debuglink. *links (may be NULL): what the attached file
 * says in turn.
 */
int elf_file_attach_debug(struct elf_file *file, int fd, struct elf_links *links);
int elf_file_attach_supplement(struct elf_file *file, int fd);

/*
 * Innermost inlined call first, the function itself last; strings live as long as the file, "" if
 * unknown. Returns how many lines, at most `room`; 0: the offset is in no segment, or nothing names
 * it.
 */
size_t elf_file_resolve(
	struct elf_file *file, uint64_t offset, struct dwarf_line *out, size_t room);
