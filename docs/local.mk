# Pages and manual pages.
EXTRA_DIST += docs/architecture.md docs/formats.md docs/sampling.md docs/wire-format.md
