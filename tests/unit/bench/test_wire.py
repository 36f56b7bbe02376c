"""The peers' protocols by hand: examples of their specifications, split anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.peers.wire import mqtt, nats, resp
from bench.peers.wire.mqtt import Packet
from bench.peers.wire.nats import Frame
from bench.peers.wire.resp import ReplyError

Parse = Callable[[bytes], tuple[list[Any], bytes]]

NATS = (
    b'INFO {"server_id":"N"}\r\n'
    b"PING\r\n+OK\r\n"
    b"MSG FOO.BAR 9 11\r\nHello World\r\n"
    b"MSG FOO.BAR 9 GREETING.34 13\r\nHello\r\nWorld!\r\n"
    b"HMSG FOO.BAR 9 34 45\r\nNATS/1.0\r\nFoodGroup: vegetable\r\n\r\nHello World\r\n"
    b"-ERR 'Unknown Protocol Operation'\r\n"
)
REDIS = (
    b"+OK\r\n:-1000\r\n$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
    b"-ERR unknown command 'asdf'\r\n"
    b"*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*2\r\n+Hello\r\n-World\r\n"
)
MQTT = (
    b"\x20\x03\x00\x00\x00"  # CONNACK
    b"\x90\x04\x00\x0a\x00\x01"  # SUBACK
    b"\x40\x02\x00\x01\x40\x04\x00\x01\x10\x00"  # PUBACK, without and with a reason
    b"\x32\x09\x00\x03a/b\x00\x0a\x00x"  # PUBLISH, QoS 1
)


def plain(value: Any) -> Any:
    """Errors as text, since two errors are never equal."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, ReplyError) else value


@pytest.mark.parametrize(
    ("parse", "stream"), [(nats.parse, NATS), (resp.parse, REDIS), (mqtt.parse, MQTT)]
)
@given(cuts=st.lists(st.integers(0, 250), max_size=8))
def test_frames_are_the_same_however_the_bytes_are_split(
    parse: Parse, stream: bytes, cuts: list[int]
) -> None:
    whole, rest = parse(stream)
    assert rest == b""
    found: list[Any] = []
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, end in itertools.pairwise(places):
        frames, rest = parse(rest + stream[begin:end])
        found += frames
    assert (plain(found), rest) == (plain(whole), b"")


def test_nats_frames_have_their_payload() -> None:
    assert nats.parse(NATS)[0] == [
        Frame(b"INFO", b'{"server_id":"N"}'),
        Frame(b"PING", b""),
        Frame(b"+OK", b""),
        Frame(b"MSG", b"Hello World"),
        Frame(b"MSG", b"Hello\r\nWorld!"),
        Frame(b"HMSG", b"NATS/1.0\r\nFoodGroup: vegetable\r\n\r\nHello World"),
        Frame(b"-ERR", b"'Unknown Protocol Operation'"),
    ]
    assert nats.pub("FRONT.DOOR", "JOKE.22", b"Knock Knock") == (
        b"PUB FRONT.DOOR JOKE.22 11\r\nKnock Knock\r\n"
    )
    assert nats.sub("FOO", 1) == b"SUB FOO 1\r\n"


def test_redis_values_are_nested() -> None:
    values = plain(resp.parse(REDIS)[0])
    assert values[:7] == [b"OK", -1000, b"hello", b"", None, None, []]
    assert values[7:] == ["ERR unknown command 'asdf'", [[1, 2, 3], [b"Hello", "World"]]]
    assert resp.command(b"LLEN", b"mylist") == b"*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n"
    with pytest.raises(ValueError, match="no RESP2 value"):
        resp.parse(b"?1\r\n")


def test_mqtt_packets_have_their_reasons() -> None:
    connack, suback, taken, unheard, message = mqtt.parse(MQTT)[0]
    assert connack == Packet(mqtt.CONNACK, 0, b"\x00\x00\x00")
    assert [mqtt.reason(each) for each in (connack, suback, taken, unheard)] == [0, 1, 0, 16]
    assert mqtt.reason(Packet(mqtt.CONNACK, 0, b"\x00\x87\x00")) >= mqtt.FAILED
    assert mqtt.published(message) == (b"\x00\x0a", b"x")


def test_mqtt_packets_are_those_of_the_specification() -> None:
    assert mqtt.subscribe(10, ["a/b", "c/d"]) == (
        b"\x82\x0f\x00\x0a\x00\x00\x03a/b\x01\x00\x03c/d\x01"
    )
    assert mqtt.publish(10, "a/b", b"x") == b"\x32\x09\x00\x03a/b\x00\x0a\x00x"
    assert mqtt.puback(b"\x00\x0a") == b"\x40\x02\x00\x0a"
    assert mqtt.connect("c", session_s=10) == (
        b"\x10\x13\x00\x04MQTT\x05\x00\x00\x00\x05\x11\x00\x00\x00\x0a\x00\x01c"
    )


@pytest.mark.parametrize("size", [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_mqtt_lengths_have_one_to_four_bytes(size: int) -> None:
    packet = mqtt.publish(1, "", bytes(size))
    ((kind, flags, body),), rest = mqtt.parse(packet + b"\x40")
    assert (kind, flags, len(body), rest) == (mqtt.PUBLISH, 2, size + 5, b"\x40")
    assert mqtt.published(Packet(kind, flags, body)) == (b"\x00\x01", bytes(size))


def test_a_length_that_mqtt_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 4 bytes"):
        mqtt.parse(b"\x30\xff\xff\xff\xff\x01")
