"""The operator's calls about channels, and their routes."""
