"""Messages that were sent while the hub was away."""
