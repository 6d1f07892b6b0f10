#include "server/api_stats.h"

#include "model/estimate.h"
#include "server/api_access.h"
#include "server/api_answer.h"
#include "server/api_capture.h"
#include "server/api_handlers.h"
#include "server/api_process.h"
#include "server/counter_list.h"
#include "server/daemon_counters.h"
#include "server/session.h"
#include "server/session_counters.h"
#include "server/session_python.h"
#include "server/session_sums.h"
#include "server/session_table.h"

static struct api_answer *answer_of(Spprof__V1__StatsResponse *stats)
{
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	struct api_answer *answer = api_answer_new();
	response.kind_case = SPPROF__V1__RESPONSE__KIND_STATS;
	response.stats = stats;
	api_answer_add(answer, &response);
	return answer;
}

struct api_answer *api_stats_of_process(struct session *session)
{
	struct counter_list counters = COUNTER_LIST_INIT;
	Spprof__V1__StatsResponse stats = SPPROF__V1__STATS_RESPONSE__INIT;
	struct api_process process;
	struct api_capture capture;
	char python[SESSION_PYTHON_SIZE];
	api_process_fill(&process, session, 0);
	session_counters_add(&counters, session);
	api_capture_fill(&capture, session);
	counter_list_lend(&counters, &stats);
	stats.python = session_python_describe(session, python);
	stats.process = &process.message;
	stats.live_bytes = &process.live_bytes;
	stats.live_objects = &process.live_objects;
	stats.allocated_bytes = &process.allocated_bytes;
	stats.allocated_objects = &process.allocated_objects;
	stats.capture = &capture.message;
	struct api_answer *answer = answer_of(&stats);
	counter_list_deinit(&counters);
	return answer;
}

struct totals {
	const struct api_peer *peer;
	struct estimate_sum live, allocated;
};

static void add_totals(struct session *session, void *data)
{
	struct totals *totals = data;
	if (session_facts(session)->state == SESSION_EXITED ||
		!api_access_session(totals->peer, session))
		return;
	const struct session_sums *sums = session_sums(session, API_PROCESS_LIST_AGE_NS);
	estimate_merge(&totals->live, &sums->live);
	estimate_merge(&totals->allocated, &sums->cumulative);
}

struct api_answer *api_stats_of_daemon(
	const struct api_handlers_parts *parts, const struct api_peer *peer)
{
	struct counter_list counters = COUNTER_LIST_INIT;
	struct totals totals = {.peer = peer};
	Spprof__V1__StatsResponse stats = SPPROF__V1__STATS_RESPONSE__INIT;
	Spprof__V1__Estimate estimates[4];
	session_table_each(parts->table, add_totals, &totals);
	daemon_counters_add(&counters, parts);
	counter_list_lend(&counters, &stats);
	stats.live_bytes = api_process_estimate(
		&estimates[0], estimate_bytes(&totals.live), totals.live.samples);
	stats.live_objects = api_process_estimate(
		&estimates[1], estimate_objects(&totals.live), totals.live.samples);
	stats.allocated_bytes = api_process_estimate(
		&estimates[2], estimate_bytes(&totals.allocated), totals.allocated.samples);
	stats.allocated_objects = api_process_estimate(
		&estimates[3], estimate_objects(&totals.allocated), totals.allocated.samples);
	struct api_answer *answer = answer_of(&stats);
	counter_list_deinit(&counters);
	return answer;
}
