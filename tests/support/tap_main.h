/* main() of a libcheck program that prints TAP for automake's driver: TAP_MAIN(suite_function). */
#pragma once
#include <check.h>
#include <stdlib.h>

#define TAP_MAIN(make_suite)                                                                       \
	int main(void)                                                                             \
	{                                                                                          \
		SRunner *runner = srunner_create(make_suite());                                    \
		srunner_set_tap(runner, "-");                                                      \
		srunner_run_all(runner, CK_SILENT);                                                \
		int failed = srunner_ntests_failed(runner);                                        \
		srunner_free(runner);                                                              \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                       \
	}
