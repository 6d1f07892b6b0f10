#include "symbolizer/elf_links.h"
#include <string.h>
#include <gelf.h>
#include <elfutils/libdwelf.h>

static void set_id(struct elf_id *id, const void *bytes, size_t size)
{
	if (size > 0 && size <= sizeof(id->bytes)) {
		memcpy(id->bytes, bytes, size);
		id->size = size;
	}
}

static void read_build_id(struct elf_links *out, Elf *elf)
{
	const void *bytes;
	ssize_t size = dwelf_elf_gnu_build_id(elf, &bytes);
	if (size > 0)
		set_id(&out->build_id, bytes, (size_t)size);
}

static void read_debug_link(struct elf_links *out, Elf *elf)
{
	GElf_Word crc;
	const char *name = dwelf_elf_gnu_debuglink(elf, &crc);
	if (!name || strlen(name) >= sizeof(out->debug_link))
		return;
	strcpy(out->debug_link, name);
	out->debug_crc = crc;
}

/* A path, NUL, and the build id of the file it names. */
static void read_supplement(struct elf_links *out, Elf_Scn *section)
{
	Elf_Data *data = elf_rawdata(section, NULL);
	if (!data || !data->d_buf)
		return;
	const char *path = data->d_buf;
	size_t length = strnlen(path, data->d_size);
	if (!length || length == data->d_size || length >= sizeof(out->supplement_path))
		return;
	memcpy(out->supplement_path, path, length + 1);
	set_id(&out->supplement_id, path + length + 1, data->d_size - length - 1);
}

static void read_section(struct elf_links *out, Elf *elf, size_t names, Elf_Scn *section)
{
	GElf_Shdr header;
	if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
		return;
	const char *name = elf_strptr(elf, names, header.sh_name);
	if (!name)
		return;
	if (strcmp(name, ".gnu_debugaltlink") == 0)
		read_supplement(out, section);
	else if (strcmp(name, ".debug_info") == 0 || strcmp(name, ".zdebug_info") == 0)
		out->has_dwarf = true;
}

void elf_links_read(struct elf_links *out, Elf *elf)
{
	memset(out, 0, sizeof(*out));
	read_build_id(out, elf);
	read_debug_link(out, elf);
	size_t names;
	if (elf_getshdrstrndx(elf, &names) != 0)
		return;
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));)
		read_section(out, elf, names, section);
}

bool elf_links_same_id(const struct elf_id *a, const struct elf_id *b)
{
	return a->size && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}
