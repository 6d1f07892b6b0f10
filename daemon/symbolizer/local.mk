# Sources of daemon/symbolizer.
