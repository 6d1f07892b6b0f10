/* The environment: sizes with units, nonsense ignored. */
#include <stdlib.h>
#include "settings.h"
#include "support/tap_main.h"

static struct settings read_with(const char *name, const char *value)
{
	struct settings settings;

	setenv(name, value, 1);
	settings_read(&settings);
	unsetenv(name);
	return settings;
}

START_TEST(sizes_take_units_of_1024)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {{"0", 0}, {"1", 1}, {"512K", 512 << 10}, {"3m", 3 << 20},
		{"2G", UINT64_C(2) << 30}, {"18446744073709551615", UINT64_MAX}};
	uint64_t value;

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		ck_assert_msg(settings_parse_size(good[i].text, &value), "%s", good[i].text);
		ck_assert_uint_eq(value, good[i].value);
	}
}
END_TEST

START_TEST(nonsense_is_no_size)
{
	static const char *const bad[] = {"", "K", "-1", "+1", " 1", "1 ", "1KB", "1T", "0x10",
		"18446744073709551616", "18014398509481984K", "1.5M"};
	uint64_t value;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!settings_parse_size(bad[i], &value), "%s", bad[i]);
}
END_TEST

START_TEST(an_empty_environment_gives_the_defaults)
{
	struct settings settings;

	settings_read(&settings);
	ck_assert(!settings.disabled && !settings.has_seed && !settings.socket_dir);
	ck_assert_uint_eq(settings.interval_bytes, SETTINGS_DEFAULT_INTERVAL);
	ck_assert_uint_eq(settings.ceiling, SETTINGS_DEFAULT_CEILING);
	ck_assert_uint_eq(settings.memory_bytes, SETTINGS_DEFAULT_MEMORY);
	ck_assert_uint_eq(settings.audit_every, 1000);
}
END_TEST

START_TEST(variables_set_what_they_say)
{
	ck_assert_uint_eq(read_with("SPPROF_RATE", "64K").interval_bytes, 64 << 10);
	ck_assert_uint_eq(read_with("SPPROF_CEILING", "0").ceiling, 0);
	ck_assert_uint_eq(read_with("SPPROF_AUDIT", "0").audit_every, 0);
	ck_assert(read_with("SPPROF_PYTHON_OBJECTS", "0").no_objects);
	ck_assert(!read_with("SPPROF_PYTHON_OBJECTS", "1").no_objects);
	ck_assert_uint_eq(read_with("SPPROF_AUDIT", "7").audit_every, 7);
	ck_assert_uint_eq(read_with("SPPROF_AUDIT", "4G").audit_every, 1000);
	ck_assert_uint_eq(read_with("SPPROF_MEMORY", "8M").memory_bytes, 8 << 20);
	ck_assert_uint_eq(read_with("SPPROF_SEED", "42").seed, 42);
	ck_assert(read_with("SPPROF_SEED", "0").has_seed);
	ck_assert(read_with("SPPROF_DISABLE", "1").disabled);
	ck_assert(read_with("SPPROF_CHILDREN", "0").no_children);
	ck_assert(!read_with("SPPROF_CHILDREN", "1").no_children);
	ck_assert(read_with("SPPROF_PYTHON", "0").no_python);
	ck_assert(!read_with("SPPROF_PYTHON", "1").no_python);
	ck_assert_str_eq(read_with("SPPROF_SOCKET", "/tmp/x").socket_dir, "/tmp/x");
}
END_TEST

START_TEST(values_out_of_range_leave_the_defaults)
{
	ck_assert_uint_eq(read_with("SPPROF_RATE", "0").interval_bytes, SETTINGS_DEFAULT_INTERVAL);
	ck_assert_uint_eq(
		read_with("SPPROF_RATE", "2048G").interval_bytes, SETTINGS_DEFAULT_INTERVAL);
	ck_assert_uint_eq(
		read_with("SPPROF_RATE", "lots").interval_bytes, SETTINGS_DEFAULT_INTERVAL);
	ck_assert_uint_eq(read_with("SPPROF_MEMORY", "1K").memory_bytes, SETTINGS_DEFAULT_MEMORY);
	ck_assert(!read_with("SPPROF_SEED", "x").has_seed);
	ck_assert(!read_with("SPPROF_DISABLE", "0").disabled);
	ck_assert(!read_with("SPPROF_DISABLE", "").disabled);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("settings");
	TCase *environment = tcase_create("environment");

	tcase_add_test(environment, sizes_take_units_of_1024);
	tcase_add_test(environment, nonsense_is_no_size);
	tcase_add_test(environment, an_empty_environment_gives_the_defaults);
	tcase_add_test(environment, variables_set_what_they_say);
	tcase_add_test(environment, values_out_of_range_leave_the_defaults);
	suite_add_tcase(suite, environment);
	return suite;
}

TAP_MAIN(make_suite)
