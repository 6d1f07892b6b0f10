/* The one place that knows all formats. */
#include "export/export.h"
#include <errno.h>
#include <string.h>
#include "base/buffer.h"
#include "export/collapsed.h"
#include "export/json.h"
#include "export/pprof.h"
#include "export/speedscope.h"
#include "export/text.h"

static const char *const names[EXPORT_FORMATS] = {
	[EXPORT_TEXT] = "text",
	[EXPORT_JSON] = "json",
	[EXPORT_PPROF] = "pprof",
	[EXPORT_COLLAPSED] = "collapsed",
	[EXPORT_SPEEDSCOPE] = "speedscope",
};

static const struct export_options defaults = {
	.top = EXPORT_DEFAULT_TOP,
	.depth = EXPORT_DEFAULT_DEPTH,
};

const char *export_format_name(enum export_format format)
{
	return (unsigned)format < EXPORT_FORMATS ? names[format] : "unknown";
}

int export_parse_format(const char *name, enum export_format *out)
{
	for (unsigned i = 0; i < EXPORT_FORMATS; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum export_format)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int encode(const struct snapshot *snapshot, enum export_format format,
	const struct export_options *options, struct buffer *out)
{
	switch (format) {
	case EXPORT_TEXT:
		return text_encode(snapshot, options, out);
	case EXPORT_JSON:
		return json_encode(snapshot, out);
	case EXPORT_PPROF:
		return pprof_encode(snapshot, out);
	case EXPORT_COLLAPSED:
		return collapsed_encode(snapshot, options->cumulative, out);
	case EXPORT_SPEEDSCOPE:
		return speedscope_encode(snapshot, out);
	case EXPORT_FORMATS:
		break;
	}
	return -EINVAL;
}

int export_snapshot(const struct snapshot *snapshot, enum export_format format,
	const struct export_options *options, struct buffer *out)
{
	size_t size = out->size;
	int status = encode(snapshot, format, options ? options : &defaults, out);
	if (status < 0)
		out->size = size;
	return status;
}
