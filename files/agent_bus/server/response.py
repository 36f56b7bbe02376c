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
    if payload and "Content-Type" not in answer.headers:
        head += "Content-Type: application/json\r\n"
    for name, value in answer.headers.items():
        head += f"{name}: {value}\r\n"
    return f"{head}Content-Length: {len(payload)}\r\n\r\n".encode("latin-1") + payload


@functools.lru_cache(maxsize=64)
def _head(status: int, at: int, closes: bool) -> str:  # noqa: FBT001 - by position, so that the cache finds it fast
    """What all answers of a second begin with."""
    end = "Connection: close\r\n" if closes else ""
    return f"HTTP/1.1 {STATUS_LINES[status]}\r\nDate: {http_date(at)}\r\n{end}"
