/* Doubles hold every whole number up to 2^53, far above any heap: the sum so far is exact enough.
 */
#include "export/rounding.h"
#include <math.h>

static int64_t limited(double value)
{
	if (!(value > 0))
		return 0;
	return value < (double)ROUNDING_MAX ? (int64_t)value : ROUNDING_MAX;
}

int64_t rounding_nearest(double value)
{
	return limited(round(value));
}

int64_t rounding_down(double value)
{
	return limited(floor(value));
}

int64_t rounding_up(double value)
{
	return limited(ceil(value));
}

int64_t rounding_next(struct rounding *column, double value)
{
	if (isfinite(value) && value > 0)
		column->exact += value;
	int64_t total = rounding_nearest(column->exact);
	int64_t next = total - column->given;
	column->given = total;
	return next;
}
