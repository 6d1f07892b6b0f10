#include "config.h"
#include "ctl/format.h"

#include <errno.h>
#include <string.h>

#define FORMAT(name) SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__##name

static const struct {
	Spprof__V1__SnapshotRequest__Format format;
	const char *name;
	const char *suffixes[2];
	const char *viewer;
} formats[] = {
	/* speedscope comes before json, whose suffix ends it. */
	{FORMAT(SPEEDSCOPE), "speedscope", {".speedscope.json"},
		"drop %s onto https://www.speedscope.app"},
	{FORMAT(TEXT), "text", {".txt"}, NULL},
	{FORMAT(JSON), "json", {".json"}, NULL},
	{FORMAT(PPROF), "pprof", {".pb.gz", ".pprof"}, "go tool pprof -http=: %s"},
	{FORMAT(COLLAPSED), "collapsed", {".folded", ".collapsed"}, "flamegraph.pl %s > heap.svg"},
};

#define FORMAT_COUNT (sizeof(formats) / sizeof(formats[0]))

static size_t index_of(Spprof__V1__SnapshotRequest__Format format)
{
	size_t i = 0;
	while (formats[i].format != format)
		i++;
	return i;
}

int format_parse(const char *name, Spprof__V1__SnapshotRequest__Format *out)
{
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		if (strcmp(formats[i].name, name) == 0) {
			*out = formats[i].format;
			return 0;
		}
	}
	return -EINVAL;
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t size = strlen(s), suffix_size = strlen(suffix);
	return size > suffix_size && strcmp(s + size - suffix_size, suffix) == 0;
}

int format_of_file(const char *path, Spprof__V1__SnapshotRequest__Format *out)
{
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		for (size_t j = 0; j < 2 && formats[i].suffixes[j]; j++) {
			if (ends_with(path, formats[i].suffixes[j])) {
				*out = formats[i].format;
				return 0;
			}
		}
	}
	return -EINVAL;
}

const char *format_name(Spprof__V1__SnapshotRequest__Format format)
{
	return formats[index_of(format)].name;
}

bool format_is_binary(Spprof__V1__SnapshotRequest__Format format)
{
	return format == FORMAT(PPROF);
}

const char *format_viewer(Spprof__V1__SnapshotRequest__Format format)
{
	return formats[index_of(format)].viewer;
}
