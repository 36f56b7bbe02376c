"""Builds the hub: settings to objects to WSGI application. Nothing else builds objects."""
