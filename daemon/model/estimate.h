/*
 * From samples to numbers with error bars. Each sampled allocation of size s under interval T was
 * kept with p = 1 - exp(-s/T); it stands for s/p bytes and 1/p allocations (docs/sampling.md has
 * the proof, the variance and the sources of the intervals). Sizes and intervals are > 0. Pure
 * functions; any thread.
 */
#pragma once
#include <stdint.h>

/* All that an interval needs to know of a set of samples. Sums of disjoint sets add up. */
struct estimate_sum {
	uint64_t samples;
	double bytes;		 /* sum of s/p: the estimate */
	double bytes_seen;	 /* sum of s: certainly there */
	double bytes_variance;	 /* sum of s^2 (1-p)/p^2 */
	double objects;		 /* sum of 1/p: the estimate */
	double objects_variance; /* sum of (1-p)/p^2 */
	double objects_max;	 /* largest (1-p)/p: what one more such sample would add unseen */
	double interval_max;	 /* largest T among the samples */
	double log_complete;	 /* sum of ln p: ln of the chance to keep all of these */
};

struct estimate_interval {
	double low, value, high; /* 95 %; low is never below what was sampled */
};

double estimate_probability(uint64_t size_bytes, uint64_t interval_bytes);
void estimate_add(struct estimate_sum *sum, uint64_t size_bytes, uint64_t interval_bytes);
void estimate_merge(struct estimate_sum *into, const struct estimate_sum *from);
/* Without samples all three are 0, and estimate_unseen_bytes is the upper limit. */
struct estimate_interval estimate_bytes(const struct estimate_sum *sum);
/* Speaks of allocations like those that were sampled: a byte-sized one is seen once in T. */
struct estimate_interval estimate_objects(const struct estimate_sum *sum);
/* What a site that was never sampled may hold at most, at 97.5 %, the upper limit's share of the
 * 95: P(unseen) = exp(-bytes/T), whatever the sizes. */
double estimate_unseen_bytes(double interval_bytes);
