# Pages and manual pages.
EXTRA_DIST += docs/USAGE.md docs/architecture.md docs/measurements.md docs/overhead.svg docs/concurrency.md docs/formats.md docs/requirements.md docs/sampling.md docs/testing.md \
	docs/wire-format.md
