# tests/integration

if !SANITIZED
dist_check_SCRIPTS += tests/integration/test_entry_points.sh
else
EXTRA_DIST += tests/integration/test_entry_points.sh
endif
