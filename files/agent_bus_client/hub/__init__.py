"""The hub as its clients see it: calls, streams, and where a stream left off."""
