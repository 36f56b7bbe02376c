"""The NATS client protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

CONNECT: Final = (
    b"CONNECT %s\r\nPING\r\n"
    % json.dumps(
        {
            "verbose": False,
            "pedantic": False,
            "tls_required": False,
            "lang": "bench",
            "version": "1",
            "protocol": 1,
            "headers": True,
            "no_responders": True,  # so a publish that no stream takes fails at once
        }
    ).encode()
)
"""Asks for no answers to commands but to PING."""
PONG: Final = b"PONG\r\n"
SIZED: Final = (b"MSG", b"HMSG")
"""Their last field is the number of bytes that follow."""


class Frame(NamedTuple):
    """One thing that a server says: its verb, and what follows (of HMSG: headers and payload)."""

    verb: bytes
    text: bytes


def pub(subject: str, reply: str, payload: bytes) -> bytes:
    """Publish, and have the answer sent to `reply`."""
    return b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(payload), payload)


def sub(subject: str, sid: int) -> bytes:
    """Subscribe."""
    return b"SUB %s %d\r\n" % (subject.encode(), sid)


def parse(received: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames of what was received, and what is left."""
    frames: list[Frame] = []
    at = 0
    while (end := received.find(b"\r\n", at)) >= 0:
        verb, _, text = received[at:end].partition(b" ")
        begin = end + 2
        if verb in SIZED:
            size = int(text.rpartition(b" ")[2])
            if len(received) < begin + size + 2:
                break
            text = received[begin : begin + size]
            begin += size + 2
        frames.append(Frame(verb, text))
        at = begin
    return frames, received[at:]
