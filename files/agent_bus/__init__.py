"""The hub of the message bus: an HTTP API and event streams over one SQLite file."""

from __future__ import annotations

__version__ = "0.1.0"
