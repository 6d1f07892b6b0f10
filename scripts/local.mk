EXTRA_DIST += scripts/bootstrap
