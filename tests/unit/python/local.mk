# Unit tests of what the agent knows of CPython: with interpreters made of bytes.
python_unit_tests = \
	tests/unit/python/test_codes \
	tests/unit/python/test_frames \
	tests/unit/python/test_layout \
	tests/unit/python/test_mixed_stack \
	tests/unit/python/test_unicode
unit_tests += $(python_unit_tests)
noinst_HEADERS += tests/support/fake_code.h

tests_unit_python_test_codes_SOURCES = tests/unit/python/test_codes.c
tests_unit_python_test_codes_CPPFLAGS = $(agent_test_cppflags)
tests_unit_python_test_codes_LDADD = $(agent_test_ldadd)
tests_unit_python_test_frames_SOURCES = tests/unit/python/test_frames.c
tests_unit_python_test_frames_CPPFLAGS = $(agent_test_cppflags)
tests_unit_python_test_frames_LDADD = $(agent_test_ldadd)
tests_unit_python_test_layout_SOURCES = tests/unit/python/test_layout.c
tests_unit_python_test_layout_CPPFLAGS = $(agent_test_cppflags)
tests_unit_python_test_layout_LDADD = $(agent_test_ldadd)
tests_unit_python_test_mixed_stack_SOURCES = tests/unit/python/test_mixed_stack.c
tests_unit_python_test_mixed_stack_CPPFLAGS = $(agent_test_cppflags)
tests_unit_python_test_mixed_stack_LDADD = $(agent_test_ldadd)
tests_unit_python_test_unicode_SOURCES = tests/unit/python/test_unicode.c
tests_unit_python_test_unicode_CPPFLAGS = $(agent_test_cppflags)
tests_unit_python_test_unicode_LDADD = $(agent_test_ldadd)
