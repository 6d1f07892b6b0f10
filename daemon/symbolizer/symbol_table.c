/*
 * Of the symbols that cover an address, the one that begins last is meant: it is nested in the
 * others. Of those that begin together, the one a person knows: global before weak before local
 * (malloc, not __libc_malloc's local alias), then fewer leading underscores, then the shorter and
 * the alphabetically first name, so that the answer does not depend on the order in the file.
 *
 * A symbol without a size (hand-written assembly) counts as reaching to the next symbol, but yields
 * to any that says it covers the address.
 */
#include "symbolizer/symbol_table.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "symbolizer/ranges.h"

#define MAX_SYMBOLS (8 << 20)

struct symbol {
	const char *name;
	uint64_t start;
	uint64_t limit; /* greatest size: its own, else to the end of its section */
	bool sized;
	uint8_t rank; /* of its binding; lower is better */
};

struct source { /* one of the files that the module's symbols come from */
	Elf *elf;
	bool complete;
};

struct symbol_table {
	struct symbol *symbols; /* owns; values of the ranges are positions in it */
	uint32_t count;
	uint32_t capacity;
	struct ranges ranges;
};

static uint8_t binding_rank(const GElf_Sym *symbol)
{
	switch (GELF_ST_BIND(symbol->st_info)) {
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		return 0;
	case STB_WEAK:
		return 1;
	default:
		return 2;
	}
}

/* Labels in assembly have no type; "$x" and its like on ARM mark code and data, they name nothing.
 */
static bool is_function(const char *name, const GElf_Sym *symbol, const GElf_Shdr *section)
{
	if (!name || !*name)
		return false;
	switch (GELF_ST_TYPE(symbol->st_info)) {
	case STT_FUNC:
	case STT_GNU_IFUNC:
		return true;
	case STT_NOTYPE:
		return *name != '$' && section && (section->sh_flags & SHF_EXECINSTR);
	default:
		return false;
	}
}

static void add(struct symbol_table *table, struct symbol symbol)
{
	ALLOC_GROW(table->symbols, table->capacity, table->count);
	table->symbols[table->count++] = symbol;
}

/* Whether the file has all of its symbols. With .dynsym alone, what follows a symbol without a size
 * may be any static function. */
static bool is_complete(Elf *elf)
{
	GElf_Shdr header;
	for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section));)
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
			return true;
	return false;
}

static void read_symbol(
	struct symbol_table *table, Dwfl_Module *module, int position, struct source *last)
{
	GElf_Sym symbol;
	GElf_Addr address;
	GElf_Word index = SHN_UNDEF;
	Elf *elf = NULL;
	const char *name =
		dwfl_module_getsym_info(module, position, &symbol, &address, &index, &elf, NULL);
	if (index == SHN_UNDEF)
		return;
	if (elf != last->elf)
		*last = (struct source){elf, is_complete(elf)};
	GElf_Shdr header, *section = gelf_getshdr(elf_getscn(elf, index), &header);
	if (!is_function(name, &symbol, section))
		return;
	uint64_t limit = symbol.st_size;
	if (!symbol.st_size && (!section || !last->complete))
		return;
	if (!symbol.st_size)
		limit = section->sh_addr + section->sh_size - symbol.st_value;
	add(table,
		(struct symbol){name, address, limit, symbol.st_size != 0, binding_rank(&symbol)});
}

static void read_symbols(struct symbol_table *table, Dwfl_Module *module)
{
	int count = dwfl_module_getsymtab(module);
	struct source last = {0};
	for (int i = 1; i < count && table->count < MAX_SYMBOLS; i++)
		read_symbol(table, module, i, &last);
}

static int compare_starts(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;
	return a->start < b->start ? -1 : a->start > b->start;
}

static uint64_t end_of(const struct symbol *symbol, uint64_t next_start)
{
	uint64_t end;
	if (__builtin_add_overflow(symbol->start, symbol->limit, &end))
		end = UINT64_MAX;
	return !symbol->sized && next_start < end ? next_start : end;
}

static void index_symbols(struct symbol_table *table)
{
	if (table->count)
		qsort(table->symbols, table->count, sizeof(table->symbols[0]), compare_starts);
	uint64_t next_start = UINT64_MAX;
	for (uint32_t i = table->count; i-- > 0;) {
		const struct symbol *symbol = &table->symbols[i];
		if (i + 1 < table->count && table->symbols[i + 1].start > symbol->start)
			next_start = table->symbols[i + 1].start;
		ranges_add(&table->ranges, symbol->start, end_of(symbol, next_start), i);
	}
	ranges_sort(&table->ranges);
}

int symbol_table_new(struct symbol_table **out, Dwfl_Module *module)
{
	struct symbol_table *table = alloc_zeroed(1, sizeof(*table));
	read_symbols(table, module);
	index_symbols(table);
	*out = table;
	return 0;
}

struct symbol_table *symbol_table_free(struct symbol_table *table)
{
	if (!table)
		return NULL;
	ranges_deinit(&table->ranges);
	free(table->symbols);
	free(table);
	return NULL;
}

static bool is_better(const struct symbol *a, const struct symbol *b)
{
	if (a->start != b->start)
		return a->start > b->start;
	if (a->rank != b->rank)
		return a->rank < b->rank;
	size_t a_underscores = strspn(a->name, "_"), b_underscores = strspn(b->name, "_");
	if (a_underscores != b_underscores)
		return a_underscores < b_underscores;
	size_t a_length = strlen(a->name), b_length = strlen(b->name);
	if (a_length != b_length)
		return a_length < b_length;
	return strcmp(a->name, b->name) < 0;
}

bool symbol_table_find(const struct symbol_table *table, uint64_t address, struct symbol_match *out)
{
	const struct symbol *sized = NULL, *unsized = NULL;
	const struct range *range;
	struct ranges_cursor at = ranges_seek(&table->ranges, address);
	while ((range = ranges_next(&table->ranges, &at))) {
		const struct symbol *symbol = &table->symbols[range->value];
		if (sized && symbol->start < sized->start)
			break;
		const struct symbol **best = symbol->sized ? &sized : &unsized;
		if (!*best || is_better(symbol, *best))
			*best = symbol;
	}
	if (!sized && !unsized)
		return false;
	*out = (struct symbol_match){(sized ? sized : unsized)->name, sized != NULL};
	return true;
}
