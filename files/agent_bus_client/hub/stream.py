"""An open event stream.

It belongs to the thread that opened it; only `close` may come from another one.
"""

from __future__ import annotations

import time

from agent_bus_client.errors import HttpError
from agent_bus_client.hub import sse
from agent_bus_client.hub.trouble import unreachable

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus_client.net import http1

DEFAULT_KEEPALIVE_S = 15.0
SILENT_KEEPALIVES = 2.5  # two missed in a row and half of a third: the peer is dead


class Stream:
    """An open event stream.

    Attributes:
        keepalive_s: to be set from `hello`; silence for 2.5 times as long ends the stream.
        retry_ms, last_event_id: see `sse.Parser`.
    """

    def __init__(self, connection: http1.Connection, head: http1.Head, url: str) -> None:
        self._connection = connection
        self._head = head
        self._url = url
        self._parser = sse.Parser()
        self.keepalive_s = DEFAULT_KEEPALIVE_S
        self.opened_at = time.monotonic()

    @property
    def retry_ms(self) -> int | None:
        """The reconnection time that the hub asked for."""
        return self._parser.retry_ms

    @property
    def last_event_id(self) -> str:
        """The id to resume from."""
        return self._parser.last_event_id

    def events(self) -> Iterator[sse.Event]:
        """Yield events until the hub ends the stream.

        Raises:
            HubUnreachableError: the hub was silent for 2.5 keepalives, or the connection broke.
            StreamError: see `sse.Parser.feed`.
        """
        chunks = self._connection.read_body(
            self._head, next_timeout_s=lambda: self.keepalive_s * SILENT_KEEPALIVES
        )
        try:
            for chunk in chunks:
                yield from self._parser.feed(chunk)
        except (OSError, HttpError) as error:
            raise unreachable(self._url, error, sent=True) from error

    def close(self) -> None:
        """End the stream; a read in another thread returns at once."""
        self._connection.close()
