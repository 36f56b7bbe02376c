"""The Redis protocol, RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/."""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = "bytes | int | list[Value] | ReplyError | None"


class ReplyError(Exception):
    """An error that the server answered; as a value, as it may stand within an array."""


class _PartialError(Exception):
    """The value does not end within what was received."""


def command(*words: bytes) -> bytes:
    """A command as the array of bulk strings that it is."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


def parse(received: bytes) -> tuple[list[Value], bytes]:
    """The whole values of what was received, and what is left."""
    values: list[Value] = []
    at = 0
    try:
        while at < len(received):
            value, at = _value(received, at)
            values.append(value)
    except _PartialError:
        pass
    return values, received[at:]


def _value(received: bytes, at: int) -> tuple[Value, int]:
    end = received.find(b"\r\n", at)
    if end < 0:
        raise _PartialError
    kind, line, after = received[at : at + 1], received[at + 1 : end], end + 2
    match kind:
        case b"$":
            return _bulk(received, int(line), after)
        case b"*":
            if int(line) < 0:
                return None, after
            values: list[Value] = []
            for _ in range(int(line)):
                value, after = _value(received, after)
                values.append(value)
            return values, after
        case b":":
            return int(line), after
        case b"+":
            return line, after
        case b"-":
            return ReplyError(line.decode()), after
    raise ValueError(f"no RESP2 value begins with {kind!r}")


def _bulk(received: bytes, size: int, begin: int) -> tuple[Value, int]:
    if size < 0:
        return None, begin
    if len(received) < begin + size + 2:
        raise _PartialError
    return received[begin : begin + size], begin + size + 2
