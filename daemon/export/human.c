/* A value is first brought into its unit, then printed, so that "1024 KiB" cannot come out. */
#include "export/human.h"
#include <inttypes.h>
#include <math.h>
#include <time.h>
#include "base/buffer.h"

static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
#define LAST_UNIT (sizeof(units) / sizeof(units[0]) - 1)

static unsigned pick_unit(double value)
{
	unsigned unit = 0;
	for (; value >= 1023.5 && unit < LAST_UNIT; unit++)
		value /= 1024;
	return unit;
}

static void put_number(struct buffer *out, double bytes, unsigned unit)
{
	double value = ldexp(bytes, -10 * (int)unit);
	int digits = unit == 0 || value >= 99.95 || value == 0 ? 0 : value >= 9.995 ? 1 : 2;
	buffer_printf(out, "%.*f", digits, value);
}

void human_bytes(struct buffer *out, double bytes)
{
	unsigned unit = pick_unit(bytes);
	put_number(out, bytes, unit);
	buffer_printf(out, " %s", units[unit]);
}

void human_range(struct buffer *out, double low, double high)
{
	unsigned unit = pick_unit(high);
	put_number(out, low, unit);
	buffer_puts(out, "..");
	human_bytes(out, high);
}

void human_duration(struct buffer *out, uint64_t ns)
{
	uint64_t s = ns / 1000000000u;
	if (s < 60)
		buffer_printf(out, "%" PRIu64 "s", s);
	else if (s < 3600)
		buffer_printf(out, "%" PRIu64 "m %02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		buffer_printf(out, "%" PRIu64 "h %02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		buffer_printf(out, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
}

static void put_time(struct buffer *out, uint64_t unix_ns, const char *format)
{
	time_t s = (time_t)(unix_ns / 1000000000u);
	struct tm tm = {0};
	char text[64];
	gmtime_r(&s, &tm);
	strftime(text, sizeof(text), format, &tm);
	buffer_puts(out, text);
}

void human_time(struct buffer *out, uint64_t unix_ns)
{
	put_time(out, unix_ns, "%Y-%m-%d %H:%M:%S UTC");
}

void human_time_iso(struct buffer *out, uint64_t unix_ns)
{
	put_time(out, unix_ns, "%Y-%m-%dT%H:%M:%SZ");
}
