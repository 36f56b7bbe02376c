"""The operator's calls about webhooks, and their routes."""
