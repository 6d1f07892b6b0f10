/*
 * The estimate is what was seen plus what must have been missed. The missed part has mean m = sum
 * s(1-p)/p and variance v = sum s^2(1-p)/p^2, and is given a gamma distribution of these moments:
 * exact (Garwood 1936) where p is small, Fay and Feuer's (1997) where weights differ. Two facts do
 * better than moments: with probability prod p nothing was missed at all, and after the last sample
 * at most one more gap of mean T can hide, whatever the sizes in it. docs/sampling.md derives this
 * and reports its coverage.
 */
#include "model/estimate.h"
#include <math.h>
#include "model/gamma.h"

#define TAIL 0.025 /* on either side of a 95 % interval */

/* From this chance of having missed nothing on, a set of samples counts as complete. */
#define COMPLETE 0.999

/* What was missed, in bytes or in objects. */
struct missed {
	double mean, variance;
	double step;	 /* the size of one missed thing, where it is large enough to matter */
	double gap_mean; /* of what may hide after the last sample */
	double gap_variance;
};

double estimate_probability(uint64_t size_bytes, uint64_t interval_bytes)
{
	return -expm1(-(double)size_bytes / (double)interval_bytes);
}

void estimate_add(struct estimate_sum *sum, uint64_t size_bytes, uint64_t interval_bytes)
{
	double s = (double)size_bytes, t = (double)interval_bytes;
	double p = -expm1(-s / t), missed = (1 - p) / p;
	sum->samples++;
	sum->bytes += s / p;
	sum->bytes_seen += s;
	sum->bytes_variance += s * missed * (s / p);
	sum->objects += 1 / p;
	sum->objects_variance += missed / p;
	sum->objects_max = fmax(sum->objects_max, missed);
	sum->interval_max = fmax(sum->interval_max, t);
	sum->log_complete += log(p);
}

void estimate_merge(struct estimate_sum *into, const struct estimate_sum *from)
{
	into->samples += from->samples;
	into->bytes += from->bytes;
	into->bytes_seen += from->bytes_seen;
	into->bytes_variance += from->bytes_variance;
	into->objects += from->objects;
	into->objects_variance += from->objects_variance;
	into->objects_max = fmax(into->objects_max, from->objects_max);
	into->interval_max = fmax(into->interval_max, from->interval_max);
	into->log_complete += from->log_complete;
}

/* The gamma distribution of this mean and variance. */
static double quantile(double mean, double variance, double p)
{
	if (mean <= 0 || variance <= 0)
		return 0;
	return gamma_quantile(mean * mean / variance, p) * variance / mean;
}

static struct estimate_interval interval(
	double seen, double value, const struct missed *missed, double log_complete)
{
	struct estimate_interval result = {.low = seen, .value = value, .high = value};
	if (log_complete >= log(COMPLETE))
		return result;
	/* things come whole: a continuous quantile names a limit up to half a thing too high */
	if (log_complete < log(TAIL))
		result.low +=
			fmax(0, quantile(missed->mean, missed->variance, TAIL) - missed->step / 2);
	double more = quantile(
		missed->mean + missed->gap_mean, missed->variance + missed->gap_variance, 1 - TAIL);
	result.low = fmin(result.low, value);
	result.high = fmax(seen + more, value);
	return result;
}

struct estimate_interval estimate_bytes(const struct estimate_sum *sum)
{
	double t = sum->interval_max;
	struct missed missed = {
		.mean = sum->bytes - sum->bytes_seen,
		.variance = sum->bytes_variance,
		.gap_mean = t, /* exponential */
		.gap_variance = t * t,
	};
	/* variance / mean is s/p: about T for small blocks, about s for large ones */
	if (missed.mean > 0)
		missed.step = fmax(0, missed.variance / missed.mean - t);
	return interval(sum->bytes_seen, sum->bytes, &missed, sum->log_complete);
}

struct estimate_interval estimate_objects(const struct estimate_sum *sum)
{
	double gap = sum->objects_max;
	struct missed missed = {
		.mean = sum->objects - (double)sum->samples,
		.variance = sum->objects_variance,
		.step = 1,
		.gap_mean = gap + 0.5, /* geometric; half a thing, as at the lower limit */
		.gap_variance = gap * (1 + gap),
	};
	return interval((double)sum->samples, sum->objects, &missed, sum->log_complete);
}

double estimate_unseen_bytes(double interval_bytes)
{
	return -log(TAIL) * interval_bytes;
}
