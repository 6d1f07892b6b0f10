/*
 * A table on standard output: as wide as the terminal if there is one, whole cells otherwise.
 * Foreign text in cells is made harmless by libsmartcols. Single-threaded.
 */
#pragma once
struct table;

enum table_kind {
	TABLE_TEXT,
	TABLE_NUMBER, /* aligned right */
	TABLE_FILLER, /* text that may be cut where the terminal ends */
};

struct table_column {
	const char *title;
	enum table_kind kind;
};

int table_new(struct table **out, const struct table_column *columns,
	unsigned column_count); /* 0 or -errno */
struct table *table_free(struct table *table);
/* One row, as many cells as columns; copies. 0 or negative errno. */
int table_add(struct table *table, const char *const cells[]);
/* For a column that turned out to be empty. */
void table_hide_column(struct table *table, unsigned column);
int table_print(const struct table *table); /* 0 or negative errno */
