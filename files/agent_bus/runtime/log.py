"""One JSON object per line to stderr, where journald reads it."""

from __future__ import annotations

import json
import logging
from typing import Final

PRIORITY: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class JsonFormatter(logging.Formatter):
    """`{"level", "logger", "event", "stack"?}` behind the `<n>` prefix that sets the priority."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        fields = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            fields["stack"] = self.formatException(record.exc_info)
        return f"<{PRIORITY.get(record.levelname, 6)}>{json.dumps(fields, ensure_ascii=False)}"


def configure(level: str) -> None:
    """Send all loggers' records to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
