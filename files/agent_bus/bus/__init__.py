"""Messages and their way: use cases, fan-out, streams, presence and rights."""
