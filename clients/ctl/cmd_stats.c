#include "config.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/describe.h"
#include "ctl/link.h"
#include "ctl/message.h"
#include "ctl/table.h"

static const struct cli_option options[] = {
	{'j', "json", NULL, "print JSON instead of tables"},
	{0},
};

struct named_estimate {
	const char *name;
	const Spprof__V1__Estimate *estimate;
	const char *(*quantity)(char text[static QUANTITY_SIZE], double value);
};

#define ESTIMATES 4

static void estimates_of(
	const Spprof__V1__StatsResponse *stats, struct named_estimate out[static ESTIMATES])
{
	out[0] = (struct named_estimate){"live_bytes", stats->live_bytes, quantity_bytes};
	out[1] = (struct named_estimate){"live_objects", stats->live_objects, quantity_count};
	out[2] = (struct named_estimate){"allocated_bytes", stats->allocated_bytes, quantity_bytes};
	out[3] = (struct named_estimate){
		"allocated_objects", stats->allocated_objects, quantity_count};
}

static int print_estimates(const Spprof__V1__StatsResponse *stats)
{
	static const struct table_column columns[] = {{"ESTIMATE", TABLE_TEXT},
		{"VALUE", TABLE_NUMBER}, {"95% RANGE", TABLE_TEXT}, {"SAMPLES", TABLE_NUMBER}};
	struct named_estimate estimates[ESTIMATES];
	estimates_of(stats, estimates);
	struct table *table;
	int result = table_new(&table, columns, sizeof(columns) / sizeof(columns[0]));
	if (result < 0)
		return result;
	for (size_t i = 0; i < ESTIMATES && result == 0; i++) {
		const Spprof__V1__Estimate *estimate = estimates[i].estimate;
		if (!estimate)
			continue;
		char value[QUANTITY_SIZE], range[DESCRIBE_RANGE_SIZE], samples[QUANTITY_SIZE];
		const char *cells[] = {
			estimates[i].name,
			estimates[i].quantity(value, estimate->value),
			describe_range(range, estimate, estimates[i].quantity),
			quantity_count(samples, (double)estimate->samples),
		};
		result = table_add(table, cells);
	}
	if (result == 0)
		result = table_print(table);
	table_free(table);
	return result;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t size = strlen(name), suffix_size = strlen(suffix);
	return size >= suffix_size && strcmp(name + size - suffix_size, suffix) == 0;
}

/* Counters name their unit; in a table people read 1.5 MiB easier than 1572864. */
static const char *counter_value(
	char text[static QUANTITY_SIZE], const Spprof__V1__Counter *counter)
{
	if (has_suffix(counter->name, "_bytes"))
		return quantity_bytes(text, counter->value);
	if (has_suffix(counter->name, "_seconds"))
		return quantity_duration(text, counter->value);
	snprintf(text, QUANTITY_SIZE, counter->value == floor(counter->value) ? "%.0f" : "%.4g",
		counter->value);
	return text;
}

static int print_counters(const Spprof__V1__StatsResponse *stats)
{
	static const struct table_column columns[] = {
		{"COUNTER", TABLE_TEXT}, {"VALUE", TABLE_NUMBER}, {"MEANING", TABLE_FILLER}};
	struct table *table;
	int result = table_new(&table, columns, sizeof(columns) / sizeof(columns[0]));
	if (result < 0)
		return result;
	for (size_t i = 0; i < stats->n_counters && result == 0; i++) {
		char value[QUANTITY_SIZE];
		const Spprof__V1__Counter *counter = stats->counters[i];
		const char *cells[] = {counter->name, counter_value(value, counter), counter->help};
		result = table_add(table, cells);
	}
	if (result == 0)
		result = table_print(table);
	table_free(table);
	return result;
}

static const char *confidence_name(Spprof__V1__Capture__Confidence confidence)
{
	switch (confidence) {
	case SPPROF__V1__CAPTURE__CONFIDENCE__HIGH:
		return "high";
	case SPPROF__V1__CAPTURE__CONFIDENCE__MEDIUM:
		return "medium";
	case SPPROF__V1__CAPTURE__CONFIDENCE__LOW:
		return "low";
	default:
		return "unknown";
	}
}

static int print_capture_modules(const Spprof__V1__Capture *capture)
{
	static const struct table_column columns[] = {{"STACKS CUT SHORT IN", TABLE_TEXT},
		{"NO TABLES", TABLE_NUMBER}, {"OFF STACK", TABLE_NUMBER},
		{"UNKNOWN RULE", TABLE_NUMBER}, {"TOO DEEP", TABLE_NUMBER},
		{"AUDITS DISAGREE", TABLE_NUMBER}};
	struct table *table;
	int result = table_new(&table, columns, sizeof(columns) / sizeof(columns[0]));
	if (result < 0)
		return result;
	for (size_t i = 0; i < capture->n_modules && result == 0; i++) {
		const Spprof__V1__CaptureModule *module = capture->modules[i];
		char numbers[5][QUANTITY_SIZE];
		const char *cells[] = {
			*module->path ? module->path : "(code in no file)",
			quantity_count(numbers[0], (double)module->no_info),
			quantity_count(numbers[1], (double)module->bounds),
			quantity_count(numbers[2], (double)module->unsupported),
			quantity_count(numbers[3], (double)module->depth_limit),
			quantity_count(numbers[4], (double)module->disagreed),
		};
		result = table_add(table, cells);
	}
	if (result == 0)
		result = table_print(table);
	table_free(table);
	return result;
}

static int print_capture(const Spprof__V1__Capture *capture)
{
	printf("\ncapture confidence: %s", confidence_name(capture->confidence));
	if (capture->confidence != SPPROF__V1__CAPTURE__CONFIDENCE__UNKNOWN)
		printf(" (%.1f%% of the stacks are cut short, %.1f%% have guessed frames",
			capture->truncated_percent, capture->guessed_percent);
	else
		printf(" (no stack has been seen yet");
	if (capture->audited > 0)
		printf("; libunwind agrees in %.2f%% of %.0f", capture->agreement_percent,
			(double)capture->audited);
	printf(")%s%s\n", *capture->recommendation ? ": " : "", capture->recommendation);
	return capture->n_modules > 0 ? print_capture_modules(capture) : 0;
}

static int print_tables(const Spprof__V1__StatsResponse *stats)
{
	int result = 0;
	if (stats->process && (stats->process->unconfirmed || *stats->process->note))
		message_print("process %d: %s%s%s", (int)stats->process->pid,
			stats->process->unconfirmed ? "unconfirmed" : "",
			*stats->process->note ? " " : "", stats->process->note);
	if (stats->live_bytes || stats->allocated_bytes)
		result = print_estimates(stats);
	if (result == 0 && stats->capture)
		result = print_capture(stats->capture);
	if (result == 0 && *stats->python)
		printf("\npython: %s\n", stats->python);
	if (result == 0 && stats->n_counters > 0) {
		putchar('\n');
		result = print_counters(stats);
	}
	return result;
}

static void describe_capture(struct json *json, const Spprof__V1__Capture *capture)
{
	json_object(json, "capture");
	json_string(json, "confidence", confidence_name(capture->confidence));
	json_string(json, "recommendation", capture->recommendation);
	json_number(json, "truncated_percent", capture->truncated_percent);
	json_number(json, "guessed_percent", capture->guessed_percent);
	json_integer(json, "audited", capture->audited);
	json_number(json, "agreement_percent", capture->agreement_percent);
	json_array(json, "modules");
	for (size_t i = 0; i < capture->n_modules; i++) {
		const Spprof__V1__CaptureModule *module = capture->modules[i];
		json_object(json, NULL);
		json_string(json, "path", module->path);
		json_integer(json, "no_info", module->no_info);
		json_integer(json, "bounds", module->bounds);
		json_integer(json, "unsupported", module->unsupported);
		json_integer(json, "depth_limit", module->depth_limit);
		json_integer(json, "disagreed", module->disagreed);
		json_end_object(json);
	}
	json_end_array(json);
	json_end_object(json);
}

static int print_json(const Spprof__V1__StatsResponse *stats)
{
	struct named_estimate estimates[ESTIMATES];
	estimates_of(stats, estimates);
	struct json json;
	json_init(&json, stdout);
	json_object(&json, NULL);
	if (stats->process)
		describe_process_json(&json, "process", stats->process);
	for (size_t i = 0; i < ESTIMATES; i++)
		describe_estimate_json(&json, estimates[i].name, estimates[i].estimate);
	if (stats->capture)
		describe_capture(&json, stats->capture);
	if (stats->process)
		json_string(&json, "python", stats->python);
	json_object(&json, "counters");
	for (size_t i = 0; i < stats->n_counters; i++)
		json_number(&json, stats->counters[i]->name, stats->counters[i]->value);
	json_end_object(&json);
	json_end_object(&json);
	return 0;
}

static int take_stats(const Spprof__V1__Response *response, void *data)
{
	const bool *as_json = data;
	return *as_json ? print_json(response->stats) : print_tables(response->stats);
}

static int show_stats(const struct ctl *ctl, int pid, bool as_json)
{
	struct link link;
	int code = link_open(&link, ctl);
	if (code != CTL_OK)
		return code;
	Spprof__V1__StatsRequest stats = SPPROF__V1__STATS_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	stats.pid = pid;
	request.kind_case = SPPROF__V1__REQUEST__KIND_STATS;
	request.stats = &stats;
	int result = api_client_call(link.client, &request, LINK_SILENCE_MS, take_stats, &as_json);
	_cleanup_free_ char *what = pid ? scope_printf("the statistics of process %d", pid)
					: scope_strdup("the statistics");
	code = link_report(&link, result, what);
	link_close(&link);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	bool as_json = false;
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_stats, argc, argv);
	for (int key; (key = cli_next(&cli)) != CLI_END;) {
		if (key == CLI_STOP)
			return cli.exit_code;
		as_json = true;
	}
	int count;
	unsigned long pid = 0;
	char **arguments = cli_arguments(&cli, &count);
	if (count > 1)
		return cli_usage_error(&cmd_stats, "'%s' is one argument too many", arguments[1]);
	if (count == 1 && cli_parse_number(arguments[0], 1, INT32_MAX, &pid) < 0)
		return cli_usage_error(&cmd_stats, "'%s' is not a process id", arguments[0]);
	return show_stats(ctl, (int)pid, as_json);
}

const struct cli_command cmd_stats = {
	.name = "stats",
	.arguments = "[PID]",
	.summary = "Shows how well a process, or the daemon itself, is doing: estimates, losses, "
		   "sizes.",
	.options = options,
	.run = run,
};
