#include "config.h"
#include "ctl/quantity.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int unit_shift(const char *unit)
{
	static const char letters[] = "KMG";
	if (!*unit)
		return 0;
	const char *letter = strchr(letters, toupper((unsigned char)*unit));
	return letter && !unit[1] ? 10 * (int)(letter - letters + 1) : -EINVAL;
}

int quantity_parse_size(const char *text, uint64_t *bytes)
{
	/* strtoull alone would take blanks and signs. */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	char *unit;
	errno = 0;
	unsigned long long value = strtoull(text, &unit, 10);
	int shift = unit_shift(unit);
	if (shift < 0)
		return -EINVAL;
	if (errno || value > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = (uint64_t)value << shift;
	return 0;
}

static const char *scaled(
	char *text, double value, double step, const char *const units[], size_t unit_count)
{
	size_t unit = 0;
	/* 999.5 would print as 1000 of the smaller unit. */
	while (unit + 1 < unit_count && fabs(value) >= (unit ? 999.5 : step)) {
		value /= step;
		unit++;
	}
	int decimals = unit == 0 || fabs(value) >= 99.95 ? 0 : fabs(value) >= 9.995 ? 1 : 2;
	if (value == floor(value) && fabs(value) < 1000)
		decimals = 0;
	snprintf(text, QUANTITY_SIZE, "%.*f%s", decimals, value, units[unit]);
	return text;
}

const char *quantity_bytes(char text[static QUANTITY_SIZE], double bytes)
{
	static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
	return scaled(text, bytes, 1024, units, sizeof(units) / sizeof(units[0]));
}

const char *quantity_count(char text[static QUANTITY_SIZE], double count)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	return scaled(text, count, 1000, units, sizeof(units) / sizeof(units[0]));
}

const char *quantity_duration(char text[static QUANTITY_SIZE], double seconds)
{
	static const char *const units[] = {" ns", " us", " ms", " s"};
	return scaled(text, seconds * 1e9, 1000, units, sizeof(units) / sizeof(units[0]));
}

const char *quantity_age(char text[static QUANTITY_SIZE], uint64_t ns)
{
	uint64_t s = ns / UINT64_C(1000000000);
	if (s < 60)
		snprintf(text, QUANTITY_SIZE, "%" PRIu64 "s", s);
	else if (s < 3600)
		snprintf(text, QUANTITY_SIZE, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, QUANTITY_SIZE, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		snprintf(text, QUANTITY_SIZE, "%" PRIu64 "d%02" PRIu64 "h", s / 86400,
			s / 3600 % 24);
	return text;
}
