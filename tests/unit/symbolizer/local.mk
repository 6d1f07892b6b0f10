# Unit tests of symbolizer.
