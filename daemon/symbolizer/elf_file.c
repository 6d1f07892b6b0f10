/*
 * libdwfl pairs a file with its .debug file and reads .gnu_debugdata; it is told where everything
 * is by descriptors: the module is reported with its own descriptor, and the callback that is to
 * find debug information hands out the ones attached, each once. No callback ever opens a path.
 *
 * The module is placed at the addresses of its own program headers, so that "address" below always
 * means one of those.
 */
#include "symbolizer/elf_file.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <elfutils/libdwfl.h>
#include "base/alloc.h"
#include "symbolizer/crc32.h"
#include "symbolizer/symbol_table.h"

#define MAX_SEGMENTS 256

struct segment {
	uint64_t offset, size, address;
	bool executable, writable;
};

struct elf_file {
	Dwfl *dwfl;
	Dwfl_Module *module; /* the Dwfl's; owns the file's own descriptor */
	int debug_fd;	     /* owns until the Dwfl asks for it; -1: none or given */
	int supplement_fd;   /* the same */
	struct elf_links links;
	struct elf_id supplement_id; /* of the one wanted: the .debug file's, else the file's own */
	uint64_t mapped_bytes;
	struct segment segments[MAX_SEGMENTS];
	size_t segment_count;
	uint64_t unwind_table, unwind_table_bytes; /* .eh_frame_hdr; 0: none */
	bool loaded;
	Dwarf_Addr dwarf_bias;
	struct symbol_table *symbols; /* owns; NULL until loaded */
	struct dwarf_lines *lines;    /* owns; NULL: no DWARF */
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int find_no_elf(
	Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base, char **path, Elf **elf)
{
	(void)module, (void)data, (void)name, (void)base, (void)path, (void)elf;
	return -1;
}

/* Also called for the supplement, which alone has a name and no checksum. */
static int hand_out_debug(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
	const char *path, const char *wanted, GElf_Word crc, char **found)
{
	(void)module, (void)name, (void)base, (void)path, (void)found;
	struct elf_file *file = *data;
	int *which = wanted && !crc && file->debug_fd < 0 ? &file->supplement_fd : &file->debug_fd;
	int fd = *which;
	*which = -1;
	return fd;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_no_elf,
	.find_debuginfo = hand_out_debug,
	.section_address = dwfl_offline_section_address,
};

static int check_regular(int fd, uint64_t *size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* Anything else libdwfl would try to unpack, or to relocate; dwz's supplements, which it only
 * reads, call themselves relocatable. */
static int check_header(int fd, bool is_supplement)
{
	unsigned char header[offsetof(Elf64_Ehdr, e_machine)];
	ssize_t got = pread(fd, header, sizeof(header), 0);
	if (got < 0)
		return -errno;
	if ((size_t)got < sizeof(header) || memcmp(header, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	const unsigned char *type = header + offsetof(Elf64_Ehdr, e_type);
	unsigned value =
		header[EI_DATA] == ELFDATA2MSB ? type[0] << 8 | type[1] : type[1] << 8 | type[0];
	bool fits = value == ET_EXEC || value == ET_DYN || (value == ET_REL && is_supplement);
	return fits ? 0 : -ENOEXEC;
}

static void read_segments(struct elf_file *file, Elf *elf)
{
	size_t count;
	if (elf_getphdrnum(elf, &count) != 0)
		return;
	for (size_t i = 0; i < count && file->segment_count < MAX_SEGMENTS; i++) {
		GElf_Phdr header;
		if (!gelf_getphdr(elf, (int)i, &header))
			continue;
		if (header.p_type == PT_GNU_EH_FRAME) {
			file->unwind_table = header.p_vaddr;
			file->unwind_table_bytes = header.p_filesz;
		}
		if (header.p_type != PT_LOAD)
			continue;
		file->segments[file->segment_count++] =
			(struct segment){header.p_offset, header.p_filesz, header.p_vaddr,
				header.p_flags & PF_X, header.p_flags & PF_W};
	}
}

static int report(struct elf_file *file, int fd)
{
	dwfl_report_begin(file->dwfl);
	file->module = dwfl_report_elf(file->dwfl, "", "", fd, 0, true);
	if (!file->module)
		return -ENOEXEC;
	dwfl_report_end(file->dwfl, NULL, NULL);
	void **data;
	dwfl_module_info(file->module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = file;
	return 0;
}

static int open_module(struct elf_file *file, int *fd)
{
	int r = check_regular(*fd, &file->mapped_bytes);
	if (r < 0)
		return r;
	r = check_header(*fd, false);
	if (r < 0)
		return r;
	file->dwfl = dwfl_begin(&callbacks);
	if (!file->dwfl)
		return -ENOMEM;
	r = report(file, *fd);
	if (r < 0)
		return r;
	*fd = -1;
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(file->module, &bias);
	if (!elf)
		return -ENOEXEC;
	read_segments(file, elf);
	elf_links_read(&file->links, elf);
	file->supplement_id = file->links.supplement_id;
	return 0;
}

int elf_file_new(struct elf_file **out, int fd)
{
	struct elf_file *file = alloc_zeroed(1, sizeof(*file));
	file->debug_fd = file->supplement_fd = -1;
	elf_version(EV_CURRENT);
	int r = open_module(file, &fd);
	close_fd(&fd);
	if (r < 0) {
		elf_file_free(file);
		return r;
	}
	*out = file;
	return 0;
}

struct elf_file *elf_file_free(struct elf_file *file)
{
	if (!file)
		return NULL;
	dwarf_lines_free(file->lines);
	symbol_table_free(file->symbols);
	if (file->dwfl)
		dwfl_end(file->dwfl);
	close_fd(&file->debug_fd);
	close_fd(&file->supplement_fd);
	free(file);
	return NULL;
}

const struct elf_links *elf_file_links(const struct elf_file *file)
{
	return &file->links;
}

uint64_t elf_file_mapped_bytes(const struct elf_file *file)
{
	return file->mapped_bytes;
}

static bool has_checksum(Elf *elf, uint32_t wanted)
{
	size_t size;
	const char *image = elf_rawfile(elf, &size);
	return image && crc32_compute(image, size) == wanted;
}

static bool is_debug_of(const struct elf_links *own, const struct elf_links *debug, Elf *elf)
{
	if (own->build_id.size)
		return elf_links_same_id(&own->build_id, &debug->build_id);
	return own->debug_link[0] && has_checksum(elf, own->debug_crc);
}

/* Reads what a second file says, with a handle of its own: libdwfl makes another when it asks for
 * it. */
static int inspect(struct elf_file *file, int fd, bool is_debug, struct elf_links *links)
{
	uint64_t size;
	int r = check_regular(fd, &size);
	if (r < 0)
		return r;
	r = check_header(fd, !is_debug);
	if (r < 0)
		return r;
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf)
		return -ENOEXEC;
	elf_links_read(links, elf);
	bool matches = is_debug ? is_debug_of(&file->links, links, elf)
				: elf_links_same_id(&file->supplement_id, &links->build_id);
	elf_end(elf);
	if (!matches)
		return -ENOEXEC;
	file->mapped_bytes += size;
	return 0;
}

static int attach(struct elf_file *file, int *place, int fd, struct elf_links *links)
{
	int r = file->loaded || *place >= 0 ? -EBUSY
					    : inspect(file, fd, place == &file->debug_fd, links);
	if (r < 0)
		close(fd);
	else
		*place = fd;
	return r;
}

int elf_file_attach_debug(struct elf_file *file, int fd, struct elf_links *links)
{
	struct elf_links read;
	int r = attach(file, &file->debug_fd, fd, &read);
	if (r < 0)
		return r;
	file->supplement_id = read.supplement_id;
	if (links)
		*links = read;
	return 0;
}

int elf_file_attach_supplement(struct elf_file *file, int fd)
{
	struct elf_links read;
	return attach(file, &file->supplement_fd, fd, &read);
}

static void load(struct elf_file *file)
{
	file->loaded = true;
	Dwarf *dwarf = dwfl_module_getdwarf(file->module, &file->dwarf_bias);
	if (dwarf)
		dwarf_lines_new(&file->lines, dwarf);
	symbol_table_new(&file->symbols, file->module);
}

bool elf_file_address(const struct elf_file *file, uint64_t offset, uint64_t *address)
{
	const struct segment *found = NULL;
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct segment *s = &file->segments[i];
		if (offset >= s->offset && offset - s->offset < s->size &&
			(!found || (s->executable && !found->executable)))
			found = s;
	}
	if (found)
		*address = found->address + (offset - found->offset);
	return found != NULL;
}

static const struct segment *segment_at(const struct elf_file *file, uint64_t address)
{
	for (size_t i = 0; i < file->segment_count; i++) {
		const struct segment *s = &file->segments[i];
		if (address >= s->address && address - s->address < s->size)
			return s;
	}
	return NULL;
}

bool elf_file_has_code(const struct elf_file *file, uint64_t address)
{
	const struct segment *s = segment_at(file, address);
	return s && s->executable;
}

size_t elf_file_read(const struct elf_file *file, uint64_t address, void *out, size_t size)
{
	GElf_Addr bias;
	size_t image_size;
	const struct segment *s = segment_at(file, address);
	Elf *elf = s && !s->writable ? dwfl_module_getelf(file->module, &bias) : NULL;
	const char *image = elf ? elf_rawfile(elf, &image_size) : NULL;
	if (!image)
		return 0;
	uint64_t into = address - s->address, offset;
	if (size > s->size - into)
		size = s->size - into;
	if (__builtin_add_overflow(s->offset, into, &offset) || offset > image_size ||
		size > image_size - offset)
		return 0;
	memcpy(out, image + offset, size);
	return size;
}

bool elf_file_unwind_table(const struct elf_file *file, uint64_t *address, uint64_t *size)
{
	*address = file->unwind_table;
	*size = file->unwind_table_bytes;
	return *size > 0;
}

/* "f.cold", "f.part.0": the compiler's pieces and copies of f. */
static bool is_clone_of(const char *symbol, const char *function)
{
	size_t length = strlen(function);
	return length && strncmp(symbol, function, length) == 0 && symbol[length] == '.';
}

/*
 * The function itself has two names. DWARF's linkage name says the most. Without one the symbol
 * table is preferred, since that is what the function is called by (malloc, where the source says
 * __libc_malloc) and what it is called without DWARF; but not for pieces and copies, which should
 * add up under one name.
 */
static void choose_name(struct dwarf_line *outermost, const struct symbol_match *symbol)
{
	bool keep =
		outermost->function[0] && (outermost->is_mangled || !symbol->sized ||
						  is_clone_of(symbol->name, outermost->function));
	if (!keep)
		outermost->function = symbol->name;
}

size_t elf_file_resolve(struct elf_file *file, uint64_t offset, struct dwarf_line *out, size_t room)
{
	uint64_t address;
	if (!room || !elf_file_address(file, offset, &address))
		return 0;
	if (!file->loaded)
		load(file);
	size_t count = 0;
	if (file->lines)
		count = dwarf_lines_find(file->lines, address - file->dwarf_bias, out, room);
	struct symbol_match symbol;
	if (!symbol_table_find(file->symbols, address, &symbol))
		return count;
	if (count == 0)
		out[count++] = (struct dwarf_line){.function = "", .file = ""};
	choose_name(&out[count - 1], &symbol);
	return count;
}
