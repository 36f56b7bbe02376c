"""Whole responses as bytes, for one write to a socket."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from gunicorn.util import http_date

from agent_bus.http.application import STATUS_LINES, encode

if TYPE_CHECKING:
    from agent_bus.http.call import Answer


def response(answer: Answer, *, closes: bool = False) -> bytes:
    """A whole response; `closes` says that the connection ends with it."""
    payload = encode(answer)
    head = _head(answer.status, int(time.time()), closes)
    if not answer.headers:
        kind = b"Content-Type: application/json\r\n" if payload else b""
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, kind, len(payload), payload)
    lines = [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
    if payload and "Content-Type" not in answer.headers:
        lines.append("Content-Type: application/json\r\n")
    lines.append(f"Content-Length: {len(payload)}\r\n\r\n")
    return head + "".join(lines).encode("latin-1") + payload


@functools.lru_cache(maxsize=64)
def _head(status: int, at: int, closes: bool) -> bytes:  # noqa: FBT001 - by position, so that the cache finds it fast
    """What all answers of a second begin with."""
    end = "Connection: close\r\n" if closes else ""
    return f"HTTP/1.1 {STATUS_LINES[status]}\r\nDate: {http_date(at)}\r\n{end}".encode("latin-1")
