# Unit tests of clients.
