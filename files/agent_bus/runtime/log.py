"""One JSON object per line to stderr, where journald reads it."""

from __future__ import annotations

import json
import logging
from typing import Final, TextIO

from agent_bus.runtime.greenlets import native_rlock

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


class NativeHandler(logging.StreamHandler[TextIO]):
    """To stderr, from the loop and from native threads alike.

    The lock is native: of gevent's, which `threading` has in the hub, a writer thread that logged
    at the same time as the loop would never have come back.
    """

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """As logging does, with the native lock."""
        super().createLock()
        self.lock = native_rlock()


def configure(level: str) -> None:
    """Send all loggers' records to stderr as JSON lines."""
    # the lock of the loggers' own table, which a native thread takes when it first logs
    logging._lock = native_rlock()  # type: ignore[attr-defined]  # noqa: SLF001
    handler = NativeHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
