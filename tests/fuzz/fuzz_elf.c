/* Programs and libraries are hostile files: any content gives names, none, or an error. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "symbolizer/demangle.h"
#include "symbolizer/elf_file.h"

#define ROOM  64
#define STEPS 64 /* offsets asked about, spread over the file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int as_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	return fd;
}

static void ask(struct elf_file *file, uint64_t offset)
{
	struct dwarf_line lines[ROOM];
	char text[256];
	size_t count = elf_file_resolve(file, offset, lines, ROOM);
	if (count > ROOM)
		abort();
	for (size_t i = 0; i < count; i++)
		if (demangle_name(lines[i].function, text, sizeof(text)) >= sizeof(text) ||
			strlen(lines[i].file) == SIZE_MAX)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *file;
	if (elf_file_new(&file, as_file(data, size)) < 0)
		return 0;
	/* the same bytes as debug information of their own: same build id, if there is any */
	elf_file_attach_debug(file, as_file(data, size), NULL);
	for (size_t step = 0; step <= STEPS; step++)
		ask(file, size * step / STEPS);
	elf_file_free(file);
	return 0;
}
