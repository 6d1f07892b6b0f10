# Rules of the house that a script can hold; they run in `make check` and print TAP.
dist_check_SCRIPTS += \
	scripts/check-layering \
	scripts/check-names \
	scripts/check-exports \
	scripts/check-atomics \
	scripts/check-requirements
EXTRA_DIST += scripts/bootstrap scripts/test scripts/test-results scripts/packages scripts/install-packages scripts/build-env \
	.ci/run .github/workflows/ci.yml
