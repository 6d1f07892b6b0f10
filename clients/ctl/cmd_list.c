#include "config.h"
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/describe.h"
#include "ctl/link.h"
#include "ctl/message.h"
#include "ctl/table.h"

static const struct cli_option options[] = {
	{'a', "all", NULL, "list processes that have exited, too"},
	{'j', "json", NULL, "print JSON instead of a table"},
	{0},
};

static const char *user_name(uint32_t uid, char text[static QUANTITY_SIZE])
{
	struct passwd *user = getpwuid(uid);
	if (user)
		return user->pw_name;
	snprintf(text, QUANTITY_SIZE, "%u", (unsigned)uid);
	return text;
}

/* Of a process whose segment cannot be reached, neither the age nor the interval is known. */
static const char *age_of(const Spprof__V1__Process *process, char text[static QUANTITY_SIZE])
{
	struct timespec now;
	if (process->since_unix_ns == 0)
		return "";
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
	return quantity_age(
		text, now_ns > process->since_unix_ns ? now_ns - process->since_unix_ns : 0);
}

static char *note_of(const Spprof__V1__Process *process)
{
	if (!process->unconfirmed)
		return scope_strdup(process->note);
	return scope_printf("unconfirmed%s%s", *process->note ? ": " : "", process->note);
}

static int add_row(struct table *table, const Spprof__V1__Process *process)
{
	char pid[QUANTITY_SIZE], uid[QUANTITY_SIZE], age[QUANTITY_SIZE], interval[QUANTITY_SIZE],
		live[QUANTITY_SIZE];
	char samples[QUANTITY_SIZE], range[DESCRIBE_RANGE_SIZE];
	_cleanup_free_ char *note = note_of(process);
	const Spprof__V1__Estimate *bytes = process->live_bytes;
	snprintf(pid, sizeof(pid), "%d", (int)process->pid);
	const char *cells[] = {
		pid,
		user_name(process->uid, uid),
		describe_state(process->state),
		age_of(process, age),
		process->interval_bytes > 0 ? quantity_bytes(interval, process->interval_bytes)
					    : "",
		bytes ? quantity_bytes(live, bytes->value) : "",
		describe_range(range, bytes, quantity_bytes),
		bytes ? quantity_count(samples, (double)bytes->samples) : "",
		*process->command_line ? process->command_line : process->comm,
		note,
	};
	return table_add(table, cells);
}

/* Collects all pieces of the answer, so that nothing is printed of one that breaks off. */
struct listing {
	struct table *table; /* owns; NULL: JSON */
	struct json json;    /* into json_text */
	char *json_text;     /* owns, when the stream is closed */
	size_t json_size;
	size_t count;
	bool has_notes;
};

#define NOTE_COLUMN 9

static int listing_init(struct listing *listing, bool as_json)
{
	static const struct table_column columns[] = {
		{"PID", TABLE_NUMBER},
		{"USER", TABLE_TEXT},
		{"STATE", TABLE_TEXT},
		{"AGE", TABLE_NUMBER},
		{"INTERVAL", TABLE_NUMBER},
		{"LIVE", TABLE_NUMBER},
		{"95% RANGE", TABLE_TEXT},
		{"SAMPLES", TABLE_NUMBER},
		{"COMMAND", TABLE_FILLER},
		[NOTE_COLUMN] = {"NOTE", TABLE_FILLER},
	};
	*listing = (struct listing){0};
	if (!as_json)
		return table_new(&listing->table, columns, sizeof(columns) / sizeof(columns[0]));
	FILE *stream = open_memstream(&listing->json_text, &listing->json_size);
	if (!stream)
		return -errno;
	json_init(&listing->json, stream);
	json_object(&listing->json, NULL);
	json_array(&listing->json, "processes");
	return 0;
}

static int listing_take(const Spprof__V1__Response *response, void *data)
{
	struct listing *listing = data;
	const Spprof__V1__ListResponse *list = response->list;
	int result = 0;
	listing->count += list->n_processes;
	for (size_t i = 0; i < list->n_processes && result == 0; i++) {
		listing->has_notes |= list->processes[i]->unconfirmed || *list->processes[i]->note;
		if (listing->table)
			result = add_row(listing->table, list->processes[i]);
		else
			describe_process_json(&listing->json, NULL, list->processes[i]);
	}
	return result;
}

static void listing_finish(struct listing *listing, bool print)
{
	if (listing->json.stream) {
		json_end_array(&listing->json);
		json_end_object(&listing->json);
		fclose(listing->json.stream);
		if (print)
			fwrite(listing->json_text, 1, listing->json_size, stdout);
	} else if (print && listing->count > 0) {
		if (!listing->has_notes)
			table_hide_column(listing->table, NOTE_COLUMN);
		table_print(listing->table);
	} else if (print) {
		message_print(
			"nothing is profiled here: start a program with `spprofctl run -- CMD`");
	}
	table_free(listing->table);
	free(listing->json_text);
}

static int list_processes(const struct ctl *ctl, bool include_exited, bool as_json)
{
	struct link link;
	int code = link_open(&link, ctl);
	if (code != CTL_OK)
		return code;
	Spprof__V1__ListRequest list = SPPROF__V1__LIST_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	list.include_exited = include_exited;
	request.kind_case = SPPROF__V1__REQUEST__KIND_LIST;
	request.list = &list;

	struct listing listing;
	int result = listing_init(&listing, as_json);
	if (result == 0)
		result = api_client_call(
			link.client, &request, LINK_SILENCE_MS, listing_take, &listing);
	code = link_report(&link, result, "the list");
	listing_finish(&listing, code == CTL_OK);
	link_close(&link);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	bool include_exited = false, as_json = false;
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_list, argc, argv);
	for (int key; (key = cli_next(&cli)) != CLI_END;) {
		if (key == CLI_STOP)
			return cli.exit_code;
		include_exited |= key == 'a';
		as_json |= key == 'j';
	}
	int count;
	char **arguments = cli_arguments(&cli, &count);
	if (count > 0)
		return cli_usage_error(&cmd_list, "'%s' is one argument too many", arguments[0]);
	return list_processes(ctl, include_exited, as_json);
}

const struct cli_command cmd_list = {
	.name = "list",
	.arguments = "",
	.summary = "Lists the processes that are profiled.",
	.options = options,
	.run = run,
};
