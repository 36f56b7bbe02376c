"""The way back: while the stream is on another hub, those before it are tried again.

The stream is opened at the hub before it is left at the other one, and resumes where that one is:
what comes in between comes on both, and is passed on once.
"""

from __future__ import annotations

import threading

from agent_bus_client.errors import ClientError
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Callable, Optional

    from agent_bus_client.hub.choice import Choice
    from agent_bus_client.hub.stream import Stream

HANDOVER_S = 0.5  # hubs of one database end the former stream themselves, within milliseconds
END_S = 1.0  # a stream that is just being opened is worth this wait


class Moved(Record):
    """A stream that was opened at a hub before the current one."""

    number: int
    stream: Stream


class WayBack(threading.Thread):
    """Lives as long as one stream at another hub than the node's first.

    Args:
        choice: says how long to wait; its `current` is the hub that the stream is on.
        open_at: opens a stream at the hub of this number, or raises a `ClientError`.
        leave: ends the stream at the current hub.
        still_away: called each time none of the hubs before has a stream for this node.
    """

    def __init__(
        self,
        choice: Choice,
        *,
        open_at: Callable[[int], Stream],
        leave: Callable[[], None],
        still_away: Callable[[], None],
    ) -> None:
        super().__init__(name="way-back", daemon=True)
        self._choice = choice
        self._before = range(choice.current)
        self._open_at = open_at
        self._leave = leave
        self._still_away = still_away
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_over = False
        self._moved: Optional[Moved] = None

    def run(self) -> None:
        """Try again and again, until `end` or success."""
        while not self._ended.wait(self._choice.return_after_s()):
            if self._try():
                self._ended.wait(HANDOVER_S)
                self._leave()
                return
            self._still_away()

    def end(self) -> Moved | None:
        """Stop; return the stream that has been opened elsewhere, if there is one."""
        self._ended.set()
        self.join(END_S)
        with self._lock:
            self._is_over = True
            return self._moved

    def _try(self) -> bool:
        for number in self._before:
            try:
                stream = self._open_at(number)
            except ClientError:
                continue
            with self._lock:
                if self._is_over:
                    stream.close()
                else:
                    self._moved = Moved(number, stream)
            return True
        return False
