"""The dashboard, the operator's web page: what it shows, what is done on it, and who signs in."""
