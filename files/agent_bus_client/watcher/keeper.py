"""The keeper thread: saves the cursor and drains the outbox, which may wait for disk or hub."""

from __future__ import annotations

import logging
import threading

from agent_bus_client.hub import cursor as cursor_file
from agent_bus_client.outbox.draining import drain
from agent_bus_client.outbox.folder import Outbox
from agent_bus_client.settings import writers_of

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from agent_bus_client.hub.cursor import Cursor
    from agent_bus_client.hub.hubs import Hubs
    from agent_bus_client.hub.transport import HubClient
    from agent_bus_client.settings import Settings

logger = logging.getLogger(__name__)

INTERVAL_S = (
    1.0  # after a crash at most this much is replayed, which the hub's counts make harmless
)
OUTBOX_EVERY = 5


class KeeperThread(threading.Thread):
    """Saves the cursor and drains the outbox about once a second.

    Args:
        own: the hubs as agents with tokens of their own see them.
    """

    def __init__(self, hubs: Hubs, settings: Settings, *, own: Mapping[str, Hubs]) -> None:
        super().__init__(name="keeper", daemon=True)
        self._hubs = hubs
        self._own = own
        self._settings = settings
        self._path = f"{settings.state_dir}/cursor.json"
        self._outbox = Outbox(settings.outbox_dir)
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._cursor: Optional[Cursor] = None
        self._saved: Optional[Cursor] = None
        self._save_failed = False

    def keep(self, cursor: Cursor) -> None:
        """Save this cursor soon; never blocks."""
        self._cursor = cursor

    def connected(self, hub: HubClient) -> None:
        """Note that this hub is there: what waits in the outbox can be sent."""
        for hubs in (self._hubs, *self._own.values()):
            hubs.use_same(hub)
        self._connected.set()

    def run(self) -> None:
        """Work until `stop`."""
        rounds = 0
        while not self._stopping.wait(INTERVAL_S):
            rounds += 1
            self._save()
            if self._connected.is_set() or rounds % OUTBOX_EVERY == 0:
                self._connected.clear()
                self._drain()

    def stop(self) -> None:
        """Save for the last time, in the caller's thread."""
        self._stopping.set()
        self._save()

    def _save(self) -> None:
        cursor = self._cursor
        if cursor is None or cursor == self._saved:
            return
        try:
            cursor_file.save(self._path, cursor)
        except OSError as error:
            if not self._save_failed:
                extra = {"path": str(self._path), "error": str(error)}
                logger.error(
                    "cursor was not saved; unread mail is replayed after a restart", extra=extra
                )
            self._save_failed = True
            return
        self._save_failed = False
        self._saved = cursor

    def _drain(self) -> None:
        try:
            drained = drain(
                self._outbox,
                self._hubs,
                own=self._own,
                writers=writers_of(self._settings),
                judges=True,
            )
        except Exception:
            logger.exception("outbox was not drained, trying again later")
            return
        if drained.sent or drained.failed:
            extra = {"sent": drained.sent, "failed": drained.failed, "waiting": drained.waiting}
            logger.info("outbox drained", extra=extra)
