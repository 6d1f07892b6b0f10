/* What list and stats say alike about processes and estimates. Pure but for the stream they write
 * to. */
#pragma once
#include "ctl/json.h"
#include "ctl/quantity.h"
#include "spprof/v1/api.pb-c.h"

#define DESCRIBE_RANGE_SIZE (2 * QUANTITY_SIZE + 2)

const char *describe_state(Spprof__V1__Process__State state);
/* "11.2..13.4 MiB", an estimate's 95 % interval; "" without an estimate. */
const char *describe_range(char text[static DESCRIBE_RANGE_SIZE],
	const Spprof__V1__Estimate *estimate,
	const char *(*quantity)(char text[static QUANTITY_SIZE], double value));
/* Nothing for NULL. */
void describe_estimate_json(
	struct json *json, const char *key, const Spprof__V1__Estimate *estimate);
void describe_process_json(struct json *json, const char *key, const Spprof__V1__Process *process);
