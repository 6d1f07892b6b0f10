/* A session's capture confidence as the API tells it. Holds what the message points to. One thread. */
#pragma once
#include "server/capture_confidence.h"
#include "spprof/v1/api.pb-c.h"

struct session;

struct api_capture {
	Spprof__V1__Capture message;
	struct capture_confidence confidence;
	Spprof__V1__CaptureModule modules[CAPTURE_CONFIDENCE_MODULES];
	Spprof__V1__CaptureModule *pointers[CAPTURE_CONFIDENCE_MODULES];
	char paths[CAPTURE_CONFIDENCE_MODULES][1024];
};

/* The message points into `out`, which is not to be moved. */
void api_capture_fill(struct api_capture *out, struct session *session);
