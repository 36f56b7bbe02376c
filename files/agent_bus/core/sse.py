"""Encoding of server-sent events (WHATWG HTML, section 9.2), pure.

One frame is one `bytes` value and is written to the socket in one call. JSON stands on a single
`data:` line; JSON's own escapes keep CR and LF out of it. Every block has data: the standard
fires no event for one without, but clients in use do (httpx-sse), with an empty text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_bus.core.states import ByeReason

KEEPALIVE: Final = b": keepalive\n"
"""A comment line without a blank line, so that it ends no block: several clients' parsers take a
block without data for an event once they have seen an id."""
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` with these options would make one a call, which doubles its cost."""

_LINE_ENDS: Final = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def compact_json(value: object) -> str:
    """JSON without spaces, UTF-8 kept, on one line.

    On one line for every reader: Python's `str.splitlines`, which many plain readers use, also
    ends a line at U+0085, U+2028 and U+2029.
    """
    text = _ENCODER.encode(value)
    if not text.isascii():
        for character, escape in _LINE_ENDS.items():
            text = text.replace(character, escape)
    return text


def message(*, event_id: str, json_line: str) -> bytes:
    """An unnamed event with an id: one delivery."""
    return f"id: {event_id}\ndata: {json_line}\n\n".encode()


def control(event: str, fields: dict[str, object]) -> bytes:
    """A named event.

    `to_agent` is null in all of them, so that a plain reader that looks only at `data:` lines
    and at `to_agent` passes over them.
    """
    return f"event: {event}\ndata: {compact_json({'to_agent': None, **fields})}\n\n".encode()


def hello(fields: dict[str, object], *, retry_ms: int, resume_id: str) -> bytes:
    """The first event of a stream, with the reconnect delay and the resume position.

    It alone among the control events carries an id. A client that is cut off before the first
    message comes back with it, so it is where the stream resumed, never the head.
    """
    return f"retry: {retry_ms}\nid: {resume_id}\n".encode() + control("hello", fields)


def bye(reason: ByeReason, *, retry_ms: int, resume_id: str = "") -> bytes:
    """The last event of a stream, with the delay after which to come back.

    `resume_id` is for a stream of which it is also the first: clients take the id of the last
    event for their place, and would forget it over one without.
    """
    place = f"id: {resume_id}\n" if resume_id else ""
    return f"retry: {retry_ms}\n{place}".encode() + control("bye", {"reason": reason})
