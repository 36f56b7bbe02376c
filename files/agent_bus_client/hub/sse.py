"""Server-sent events, incremental and exact for any split of the bytes; pure.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". It dispatches exactly what the
standard says; but a line or event past a limit ends the stream, to save the memory.
"""

from __future__ import annotations

import re

from agent_bus_client.errors import StreamError
from agent_bus_client.record import Record

TYPE_CHECKING = False  # without `typing`: decision 60
if TYPE_CHECKING:
    from typing import Optional


MAX_EVENT_BYTES = (
    4 * 1024 * 1024
)  # a 64 KiB body is at most 400 KiB of JSON; past it the stream ends
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class Event(Record):
    """One dispatched event.

    `event_id` and `retry_ms` are the last ones seen up to this event; `retry_ms` is None without
    one.
    """

    type: str
    data: str
    event_id: str
    retry_ms: Optional[int] = None


class Parser:
    """Turns the bytes of one stream into events.

    Attributes:
        last_event_id: the id to resume from; frames without data move it, too.
        retry_ms: the reconnection time that the server asked for; None if it asked for none.
    """

    def __init__(self) -> None:
        self.last_event_id = ""
        self.retry_ms: Optional[int] = None
        self._partial: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._first = True
        self._type = ""
        self._data: list[bytes] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that this chunk completes, in order.

        Raises:
            StreamError: a line or an event is longer than `MAX_EVENT_BYTES`.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk.startswith(b"\n"):
                chunk = chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        self._size += len(chunk)
        *lines, rest = _LINE_END.split(chunk)
        if lines:
            lines[0] = b"".join(self._partial) + lines[0]
            self._partial = [rest]
        else:
            self._partial.append(rest)
        events = []
        for line in lines:
            if self._first:
                self._first = False
                line = line[3:] if line.startswith(_BOM) else line  # noqa: PLW2901 - once a stream
            event = self._line(line)
            if event is not None:
                events.append(event)
        if self._size > MAX_EVENT_BYTES:
            raise StreamError(f"an event of the stream is longer than {MAX_EVENT_BYTES} bytes")
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        if line.startswith(
            b":"
        ):  # keepalives end no event: a quiet stream must not seem a long one
            self._size -= len(line) + 1
            return None
        name, colon, value = line.partition(b":")
        if colon and value.startswith(b" "):
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_event_id = self._id
        kind, data = self._type, self._data
        self._type, self._data = "", []
        self._size = sum(map(len, self._partial))
        if not data:
            return None
        text = b"\n".join(data).decode("utf-8", "replace")
        return Event(kind or "message", text, self._id, self.retry_ms)
