# Pages and manual pages.
EXTRA_DIST += docs/architecture.md docs/sampling.md docs/wire-format.md
