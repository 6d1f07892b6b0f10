/* Sessions and estimates as API messages, which borrow from the session. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model/estimate.h"
#include "spprof/v1/api.pb-c.h"

/* Adding up a heap takes time; where thousands are asked for at once, a little age is no harm. */
#define API_PROCESS_LIST_AGE_NS UINT64_C(500000000)

struct session;

/* A Process and the messages that it points to. */
struct api_process {
	Spprof__V1__Process message;
	bool estimated;
	Spprof__V1__Estimate live_bytes, live_objects, allocated_bytes, allocated_objects;
};

/* Valid until the session changes. The estimates may be `max_age_ns` old. */
void api_process_fill(struct api_process *out, struct session *session, uint64_t max_age_ns);
/* To be called after `process` was moved in memory. */
void api_process_relink(struct api_process *process);
/* Fills `out` and returns it. */
Spprof__V1__Estimate *api_process_estimate(
	Spprof__V1__Estimate *out, struct estimate_interval interval, uint64_t samples);
