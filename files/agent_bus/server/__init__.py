"""How gunicorn runs the hub: its settings, its worker, and the parser for plain sends."""
