# Unit tests of ingest.
