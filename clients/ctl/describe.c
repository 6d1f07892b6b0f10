#include "config.h"
#include "ctl/describe.h"

#include <stdio.h>
#include <string.h>

const char *describe_state(Spprof__V1__Process__State state)
{
	switch (state) {
	case SPPROF__V1__PROCESS__STATE__ATTACHED:
		return "attached";
	case SPPROF__V1__PROCESS__STATE__EXITED:
		return "exited";
	case SPPROF__V1__PROCESS__STATE__LOST:
		return "lost";
	default:
		return "unknown";
	}
}

const char *describe_range(char text[static DESCRIBE_RANGE_SIZE],
	const Spprof__V1__Estimate *estimate,
	const char *(*quantity)(char text[static QUANTITY_SIZE], double value))
{
	char low[QUANTITY_SIZE], high[QUANTITY_SIZE];
	if (!estimate)
		return "";
	quantity(low, estimate->low);
	quantity(high, estimate->high);
	/* A unit that both have is said once. */
	size_t number = strcspn(low, " kMGT"), high_number = strcspn(high, " kMGT");
	if (strcmp(low + number, high + high_number) == 0)
		low[number] = '\0';
	snprintf(text, DESCRIBE_RANGE_SIZE, "%s..%s", low, high);
	return text;
}

void describe_estimate_json(
	struct json *json, const char *key, const Spprof__V1__Estimate *estimate)
{
	if (!estimate)
		return;
	json_object(json, key);
	json_number(json, "value", estimate->value);
	json_number(json, "low", estimate->low);
	json_number(json, "high", estimate->high);
	json_integer(json, "samples", estimate->samples);
	json_end_object(json);
}

void describe_process_json(struct json *json, const char *key, const Spprof__V1__Process *process)
{
	json_object(json, key);
	json_integer(json, "pid", (uint64_t)process->pid);
	json_integer(json, "uid", process->uid);
	json_string(json, "comm", process->comm);
	json_string(json, "exe", process->exe);
	json_string(json, "command_line", process->command_line);
	json_string(json, "state", describe_state(process->state));
	json_integer(json, "since_unix_ns", process->since_unix_ns);
	json_number(json, "interval_bytes", process->interval_bytes);
	describe_estimate_json(json, "live_bytes", process->live_bytes);
	describe_estimate_json(json, "live_objects", process->live_objects);
	json_bool(json, "unconfirmed", process->unconfirmed);
	json_string(json, "note", process->note);
	json_end_object(json);
}
