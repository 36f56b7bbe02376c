"""Signed webhooks: what happens on the bus is told to receivers elsewhere, at least once."""
