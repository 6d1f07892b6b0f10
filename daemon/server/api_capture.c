#include "server/api_capture.h"
#include <stdio.h>
#include "server/capture_tally.h"
#include "server/module_map.h"
#include "server/process_info.h"
#include "server/session.h"
#include "server/session_audit.h"

static Spprof__V1__Capture__Confidence confidence_of(enum capture_level level)
{
	switch (level) {
	case CAPTURE_HIGH:
		return SPPROF__V1__CAPTURE__CONFIDENCE__HIGH;
	case CAPTURE_MEDIUM:
		return SPPROF__V1__CAPTURE__CONFIDENCE__MEDIUM;
	case CAPTURE_LOW:
		return SPPROF__V1__CAPTURE__CONFIDENCE__LOW;
	case CAPTURE_UNKNOWN:
		break;
	}
	return SPPROF__V1__CAPTURE__CONFIDENCE__UNKNOWN;
}

static void fill_module(
	struct api_capture *out, size_t at, const struct capture_tally_item *item, const char *path)
{
	Spprof__V1__CaptureModule *module = &out->modules[at];
	snprintf(out->paths[at], sizeof out->paths[at], "%s", path);
	process_info_sanitize(out->paths[at]);
	spprof__v1__capture_module__init(module);
	module->path = out->paths[at];
	module->no_info = item->stops[WIRE_STOP_NO_INFO];
	module->bounds = item->stops[WIRE_STOP_BOUNDS];
	module->unsupported = item->stops[WIRE_STOP_UNSUPPORTED];
	module->depth_limit = item->stops[WIRE_STOP_MAX];
	module->disagreed = item->disagreed;
	out->pointers[at] = module;
}

static void fill_modules(struct api_capture *out, struct session *session)
{
	struct capture_trouble worst[CAPTURE_CONFIDENCE_MODULES];
	struct capture_tally *tally = session_audit(session)->tally;
	const struct module_map *modules = session_modules(session);
	unsigned count = capture_confidence_worst(tally, worst);
	for (unsigned i = 0; i < count; i++)
		fill_module(out, i, capture_tally_at(tally, worst[i].module),
			worst[i].module < module_map_count(modules)
				? module_map_get(modules, worst[i].module)->path
				: "");
	out->message.modules = out->pointers;
	out->message.n_modules = count;
}

void api_capture_fill(struct api_capture *out, struct session *session)
{
	struct session_numbers numbers;
	const struct session_audit *audit = session_audit(session);
	session_numbers(session, &numbers);
	capture_confidence_judge(&numbers.feed, &audit->stats, audit->tally,
		session_modules(session), &out->confidence);
	spprof__v1__capture__init(&out->message);
	out->message.confidence = confidence_of(out->confidence.level);
	out->message.recommendation = out->confidence.advice;
	out->message.truncated_percent = out->confidence.truncated_percent;
	out->message.guessed_percent = out->confidence.guessed_percent;
	out->message.audited = out->confidence.audited;
	out->message.agreement_percent = out->confidence.agreement_percent;
	fill_modules(out, session);
}
