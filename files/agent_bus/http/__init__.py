"""From a WSGI request to a call and back; this package knows no endpoint."""
