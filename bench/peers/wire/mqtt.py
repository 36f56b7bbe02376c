"""MQTT 5.0: https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html (sections in brackets)."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
"""Types of packets that a server sends [2.1.2]."""
FAILED: Final = 0x80
"""Reason codes from here on are failures [2.4]."""
SESSION_EXPIRY: Final = 0x11
AT_LEAST_ONCE: Final = 1
MORE: Final = 0x80


class Packet(NamedTuple):
    """A packet: its type, its flags, and all that follows the length."""

    type: int
    flags: int
    body: bytes


def parse(received: bytes) -> tuple[list[Packet], bytes]:
    """The whole packets of what was received, and what is left."""
    packets: list[Packet] = []
    at = 0
    while at < len(received):
        size, begin = _varint(received, at + 1)
        if size is None or len(received) < begin + size:
            break
        first = received[at]
        at = begin + size
        packets.append(Packet(first >> 4, first & 15, received[begin:at]))
    return packets, received[at:]


def connect(client_id: str, *, session_s: int) -> bytes:
    """Begin, with a session that outlives the connection by so long [3.1]."""
    properties = struct.pack("!BI", SESSION_EXPIRY, session_s)
    head = b"\x00\x04MQTT\x05\x00\x00\x00" + _varint_of(len(properties)) + properties
    return _packet(0x10, head + _text(client_id.encode()))


def subscribe(packet_id: int, topics: list[str]) -> bytes:
    """Subscribe with QoS 1 [3.8]."""
    listed = b"".join(_text(topic.encode()) + bytes([AT_LEAST_ONCE]) for topic in topics)
    return _packet(0x82, struct.pack("!HB", packet_id, 0) + listed)


def publish(packet_id: int, topic: str, payload: bytes) -> bytes:
    """Publish with QoS 1 [3.3]."""
    return _packet(0x32, _text(topic.encode()) + struct.pack("!HB", packet_id, 0) + payload)


def puback(packet_id: bytes) -> bytes:
    """Acknowledge what was published to us [3.4]."""
    return b"\x40\x02" + packet_id


def published(packet: Packet) -> tuple[bytes, bytes]:
    """The packet id and the payload of a PUBLISH with QoS 1."""
    body = packet.body
    begin = 2 + int.from_bytes(body[:2], "big")
    size, after = _varint(body, begin + 2)
    if size is None:
        raise ValueError("a PUBLISH ends within its properties")
    return body[begin : begin + 2], body[after + size :]


def reason(packet: Packet) -> int:
    """The worst reason code of a CONNACK, PUBACK or SUBACK; 0 where there is none."""
    body = packet.body
    if packet.type == CONNACK:
        return body[1]
    if packet.type == PUBACK:
        return body[2] if len(body) > 2 else 0
    size, after = _varint(body, 2)
    return max(body[after + (size or 0) :])


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _varint_of(len(body)) + body


def _text(text: bytes) -> bytes:
    return struct.pack("!H", len(text)) + text


def _varint_of(number: int) -> bytes:
    """A variable byte integer [1.5.5]."""
    found = bytearray()
    while True:
        number, low = divmod(number, MORE)
        found.append(low | (MORE if number else 0))
        if not number:
            return bytes(found)


def _varint(received: bytes, at: int) -> tuple[int | None, int]:
    """A variable byte integer, or None where it does not end; and what comes after it."""
    number = 0
    for place in range(4):
        if at + place >= len(received):
            return None, at
        number |= (received[at + place] & (MORE - 1)) << 7 * place
        if received[at + place] < MORE:
            return number, at + place + 1
    raise ValueError("a length of more than 4 bytes")
