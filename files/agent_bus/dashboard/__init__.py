"""The operator's page: what it shows, what is done on it, and who signs in."""
