# Unit tests of export.
