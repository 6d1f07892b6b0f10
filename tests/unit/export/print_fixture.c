/*
 * Writes a ready-made snapshot in one format: for scripts that judge the output with other
 * programs, and for looking at it. print_fixture NAME FORMAT [top=N] [depth=N] [width=N] [color]
 * [cumulative]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buffer.h"
#include "export/export.h"
#include "fixture.h"

static bool parse_option(const char *text, struct export_options *options)
{
	if (sscanf(text, "top=%u", &options->top) == 1 ||
		sscanf(text, "depth=%u", &options->depth) == 1 ||
		sscanf(text, "width=%u", &options->width) == 1)
		return true;
	if (strcmp(text, "color") == 0)
		return options->color = true;
	return strcmp(text, "cumulative") == 0 && (options->cumulative = true);
}

int main(int argc, char **argv)
{
	struct export_options options = {.top = EXPORT_DEFAULT_TOP, .depth = EXPORT_DEFAULT_DEPTH};
	enum export_format format;
	struct buffer out = BUFFER_INIT;
	struct snapshot *snapshot = argc > 2 ? fixture_by_name(argv[1]) : NULL;
	bool usable = snapshot && export_parse_format(argv[2], &format) == 0;
	for (int i = 3; i < argc; i++)
		usable = usable && parse_option(argv[i], &options);
	if (!usable) {
		fprintf(stderr, "usage: print_fixture NAME FORMAT [OPTION]...\n");
		return 2;
	}
	int status = export_snapshot(snapshot, format, &options, &out);
	if (status == 0 && out.size > 0)
		fwrite(out.data, 1, out.size, stdout);
	snapshot_free(snapshot);
	buffer_deinit(&out);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
