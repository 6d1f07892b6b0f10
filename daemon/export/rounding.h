/*
 * Whole numbers whose column adds up: each call gives round(sum so far) minus what was given
 * before. So the column's total is the rounded exact total, every number is its value rounded down
 * or up, zeros stay zero, and nothing is drawn at random. Negative and non-finite values count as
 * 0; totals stop at ROUNDING_MAX. Not thread-safe.
 */
#pragma once
#include <stdint.h>

#define ROUNDING_MAX ((int64_t)1 << 62)

struct rounding {
	double exact;
	int64_t given;
};

int64_t rounding_next(struct rounding *column, double value);
/* One number alone, with the same limits. */
int64_t rounding_nearest(double value);
int64_t rounding_down(double value);
int64_t rounding_up(double value);
