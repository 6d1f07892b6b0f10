# The package spprof: its modules by themselves and against a daemon that says anything, then with the real ones.
python_tests = \
	tests/python/test_client.py \
	tests/python/test_model.py \
	tests/python/test_protobuf.py \
	tests/python/test_schema.py \
	tests/python/test_typing.py
python_preload_tests = \
	tests/python/test_memprof.py \
	tests/python/test_package.py

dist_check_SCRIPTS += $(python_tests)
if !SANITIZED
dist_check_SCRIPTS += $(python_preload_tests)
else
EXTRA_DIST += $(python_preload_tests)
endif
EXTRA_DIST += tests/python/fake_daemon.py tests/python/under_agent.py
