# Rules of the house that a script can hold; they run in `make check` and print TAP.
dist_check_SCRIPTS += \
	scripts/check-layering \
	scripts/check-names \
	scripts/check-exports \
	scripts/check-atomics \
	scripts/check-requirements
EXTRA_DIST += scripts/bootstrap scripts/quickstart scripts/test scripts/test-results scripts/packages scripts/install-packages scripts/build-env scripts/check-long scripts/fetch-aarch64-python scripts/generate-python-schema \
	.ci/run .github/workflows/ci.yml

# Resumable; see the script.
check-long: all
	$(MAKE) $(AM_MAKEFLAGS) check TESTS=
	SRCDIR='$(abs_srcdir)' BUILDDIR='$(abs_builddir)' $(srcdir)/scripts/check-long
.PHONY: check-long check-statistics
