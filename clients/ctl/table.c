#include "config.h"
#include "ctl/table.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdlib.h>

#include "common/scope.h"

struct table {
	struct libscols_table *scols; /* owns */
	unsigned column_count;
};

int table_new(struct table **out, const struct table_column *columns, unsigned column_count)
{
	struct table *table = scope_alloc(sizeof(*table));
	table->scols = scols_new_table();
	table->column_count = column_count;
	if (!table->scols) {
		table_free(table);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < column_count; i++) {
		int flags = columns[i].kind == TABLE_NUMBER   ? SCOLS_FL_RIGHT
			    : columns[i].kind == TABLE_FILLER ? SCOLS_FL_TRUNC
							      : 0;
		if (!scols_table_new_column(table->scols, columns[i].title, 0, flags)) {
			table_free(table);
			return -ENOMEM;
		}
	}
	*out = table;
	return 0;
}

struct table *table_free(struct table *table)
{
	if (table) {
		scols_unref_table(table->scols);
		free(table);
	}
	return NULL;
}

int table_add(struct table *table, const char *const cells[])
{
	struct libscols_line *line = scols_table_new_line(table->scols, NULL);
	if (!line)
		return -ENOMEM;
	for (unsigned i = 0; i < table->column_count; i++) {
		int result = scols_line_set_data(line, i, cells[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

void table_hide_column(struct table *table, unsigned column)
{
	scols_column_set_flags(scols_table_get_column(table->scols, column), SCOLS_FL_HIDDEN);
}

int table_print(const struct table *table)
{
	return scols_print_table(table->scols);
}
