# Pages and manual pages.
EXTRA_DIST += docs/architecture.md docs/wire-format.md
