"""One JSON object per line to stderr, where journald reads it."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

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


class SharedHandler(logging.StreamHandler[TextIO]):
    """To stderr, from the loop and from native threads alike.

    Args:
        make_lock: makes a lock that both may wait for. `threading` has gevent's in the hub: a
            writer's thread that logged at the same moment as the loop would never come back.
    """

    def __init__(self, make_lock: Callable[[], Any]) -> None:
        self._make_lock = make_lock
        super().__init__()

    def createLock(self) -> None:  # noqa: N802 - logging's name
        """As logging does, with that lock."""
        super().createLock()
        self.lock = self._make_lock()


def configure(level: str, *, make_lock: Callable[[], Any]) -> None:
    """Send all loggers' records to stderr as JSON lines; for `make_lock` see `SharedHandler`."""
    # the lock of the loggers' own table, which a native thread takes when it first logs
    logging._lock = make_lock()  # type: ignore[attr-defined]  # noqa: SLF001
    handler = SharedHandler(make_lock)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
