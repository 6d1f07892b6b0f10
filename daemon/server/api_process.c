#include "server/api_process.h"

#include "server/session.h"
#include "server/session_sums.h"

Spprof__V1__Estimate *api_process_estimate(
	Spprof__V1__Estimate *out, struct estimate_interval interval, uint64_t samples)
{
	spprof__v1__estimate__init(out);
	out->value = interval.value;
	out->low = interval.low;
	out->high = interval.high;
	out->samples = samples;
	return out;
}

static Spprof__V1__Process__State state_of(enum session_state state)
{
	switch (state) {
	case SESSION_ATTACHED:
		return SPPROF__V1__PROCESS__STATE__ATTACHED;
	case SESSION_EXITED:
		return SPPROF__V1__PROCESS__STATE__EXITED;
	default:
		return SPPROF__V1__PROCESS__STATE__LOST;
	}
}

void api_process_relink(struct api_process *process)
{
	process->message.live_bytes = process->estimated ? &process->live_bytes : NULL;
	process->message.live_objects = process->estimated ? &process->live_objects : NULL;
}

static void fill_estimates(struct api_process *out, struct session *session, uint64_t max_age_ns)
{
	const struct session_sums *sums = session_sums(session, max_age_ns);
	const struct estimate_sum *live = &sums->live, *allocated = &sums->cumulative;
	api_process_estimate(&out->live_bytes, estimate_bytes(live), live->samples);
	api_process_estimate(&out->live_objects, estimate_objects(live), live->samples);
	api_process_estimate(&out->allocated_bytes, estimate_bytes(allocated), allocated->samples);
	api_process_estimate(
		&out->allocated_objects, estimate_objects(allocated), allocated->samples);
	out->estimated = true;
	api_process_relink(out);
}

void api_process_fill(struct api_process *out, struct session *session, uint64_t max_age_ns)
{
	const struct session_facts *facts = session_facts(session);
	struct snapshot_quality quality;
	session_quality(session, &quality);
	spprof__v1__process__init(&out->message);
	out->message.pid = facts->pid;
	out->message.uid = facts->uid;
	out->message.comm = (char *)facts->comm;
	out->message.exe = (char *)facts->exe;
	out->message.command_line = (char *)facts->command_line;
	out->message.state = state_of(facts->state);
	out->message.since_unix_ns = facts->since_unix_ns;
	out->message.interval_bytes = session_interval_bytes(session);
	out->message.unconfirmed = quality.unconfirmed;
	out->message.note = (char *)quality.unconfirmed_reason;
	fill_estimates(out, session, max_age_ns);
}
