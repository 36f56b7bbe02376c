"""What only reads: on connections of its own, in native threads."""
