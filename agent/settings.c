/* Parsing without strtoull: that sets errno. */
#define _GNU_SOURCE
#include "settings.h"
#include <stddef.h>
#include <stdlib.h>
#include "sampler.h"

#define MIN_MEMORY (UINT64_C(1) << 20)
#define MAX_MEMORY (UINT64_C(1) << 30)

static bool parse_digits(const char **text, uint64_t *out)
{
	const char *p = *text;
	uint64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	if (p == *text)
		return false;
	*text = p;
	*out = value;
	return true;
}

static int unit_shift(char unit)
{
	switch (unit) {
	case '\0':
		return 0;
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return -1;
	}
}

bool settings_parse_size(const char *text, uint64_t *out)
{
	uint64_t value;

	if (!parse_digits(&text, &value))
		return false;
	int shift = unit_shift(*text);
	if (shift < 0 || (shift > 0 && text[1] != '\0') || value > UINT64_MAX >> shift)
		return false;
	*out = value << shift;
	return true;
}

static void read_size(const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *text = secure_getenv(name);
	uint64_t value;

	if (text && settings_parse_size(text, &value) && value >= min && value <= max)
		*out = value;
}

static bool is_zero(const char *name)
{
	const char *text = secure_getenv(name);

	return text && text[0] == '0' && text[1] == '\0';
}

void settings_read(struct settings *out)
{
	const char *disable = secure_getenv("SPPROF_DISABLE");
	const char *seed = secure_getenv("SPPROF_SEED");

	*out = (struct settings){
		.disabled = disable && *disable && !(disable[0] == '0' && disable[1] == '\0'),
		.no_children = is_zero("SPPROF_CHILDREN"),
		.no_python = is_zero("SPPROF_PYTHON"),
		.no_objects = is_zero("SPPROF_PYTHON_OBJECTS"),
		.interval_bytes = SETTINGS_DEFAULT_INTERVAL,
		.ceiling = SETTINGS_DEFAULT_CEILING,
		.memory_bytes = SETTINGS_DEFAULT_MEMORY,
		.audit_every = SETTINGS_DEFAULT_AUDIT,
		.socket_dir = secure_getenv("SPPROF_SOCKET"),
	};
	read_size("SPPROF_RATE", 1, SAMPLER_MAX_INTERVAL, &out->interval_bytes);
	read_size("SPPROF_CEILING", 0, UINT64_MAX, &out->ceiling);
	read_size("SPPROF_MEMORY", MIN_MEMORY, MAX_MEMORY, &out->memory_bytes);
	read_size("SPPROF_AUDIT", 0, UINT32_MAX, &out->audit_every);
	out->has_seed = seed && settings_parse_size(seed, &out->seed);
}
