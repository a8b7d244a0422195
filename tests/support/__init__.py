"""Stand-ins on real sockets, for tests of what happens on a bad day."""
