/*
 * The functions in a file's symbol tables, by address: .symtab of the file or of its .debug file,
 * else .dynsym, each with the symbols of .gnu_debugdata (a compressed .symtab that some
 * distributions ship). One thread. Names are borrowed from the Dwfl module, which must outlive the
 * table.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <elfutils/libdwfl.h>

struct symbol_table;

struct symbol_match {
	const char *name;
	bool sized; /* false: no symbol is known to cover the address; this one begins nearest below
		       it */
};

int symbol_table_new(struct symbol_table **out, Dwfl_Module *module);
struct symbol_table *symbol_table_free(struct symbol_table *table);
/* `address` as in the file's program headers. */
bool symbol_table_find(
	const struct symbol_table *table, uint64_t address, struct symbol_match *out);
