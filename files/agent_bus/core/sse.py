"""Encoding of server-sent events (WHATWG HTML, section 9.2), pure.

One frame is one `bytes` value and is written to the socket in one call. JSON stands on a single
`data:` line; JSON's escapes keep CR and LF out of it. Every block has data: without data the
standard fires no event, but some clients do (httpx-sse), with an empty text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent_bus.core.states import ByeReason

KEEPALIVE: Final = b": keepalive\n"
"""A comment without a blank line behind it, so that it ends no block: once they have seen an id,
several clients' parsers take a block without data for an event."""
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Made once: `json.dumps` with these options would make one per call, at twice the cost."""

_LINE_ENDS: Final = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def compact_json(value: object) -> str:
    """JSON without spaces, UTF-8 kept, on one line."""
    return on_one_line(_ENCODER.encode(value))


def on_one_line(text: str) -> str:
    """Compact JSON on one line for every reader.

    `str.splitlines`, which many simple readers use, also ends a line at U+0085, U+2028 and U+2029.
    """
    if not text.isascii():
        for character, escape in _LINE_ENDS.items():
            text = text.replace(character, escape)
    return text


def message(*, event_id: str, json_line: str) -> bytes:
    """An unnamed event with an id: one delivery."""
    return f"id: {event_id}\ndata: {json_line}\n\n".encode()


def control(event: str, fields: dict[str, object]) -> bytes:
    """A named event.

    `to_agent` is null in all of them, so that a simple reader, which looks only at `data:` lines
    and `to_agent`, skips them.
    """
    return named(event, json_line=compact_json({"to_agent": None, **fields}))


def named(event: str, *, json_line: str) -> bytes:
    """A named event whose line is made already, with a `to_agent` of null."""
    return f"event: {event}\ndata: {json_line}\n\n".encode()


def hello(fields: dict[str, object], *, retry_ms: int, resume_id: str) -> bytes:
    """The first event of a stream, with the reconnect delay and the resume position.

    No other control event has an id. A client that is cut off before the first message comes back
    with it, so it says where the stream resumed, not the head.
    """
    return f"retry: {retry_ms}\nid: {resume_id}\n".encode() + control("hello", fields)


def bye(reason: ByeReason, *, retry_ms: int, resume_id: str = "") -> bytes:
    """The last event of a stream, with the delay after which to come back.

    `resume_id` is for a stream that has no other event: clients remember the id of the last event,
    and would forget their place at one without.
    """
    place = f"id: {resume_id}\n" if resume_id else ""
    return f"retry: {retry_ms}\n{place}".encode() + control("bye", {"reason": reason})
