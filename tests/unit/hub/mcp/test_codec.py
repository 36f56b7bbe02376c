from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent_bus.mcp import codec
from agent_bus_mcp import protocol
from agent_bus_mcp.protocol import RpcError

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
HALVES = st.text(st.characters(codec=None))
VALUES = st.recursive(
    LEAVES | HALVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def outcome(decode: Any, raw: bytes) -> tuple[str, str]:
    """What a decoder makes of some bytes, with the types of all it finds."""
    try:
        return "value", repr(decode(raw))
    except RpcError as error:
        return "refused", json.dumps(error.response)


@given(VALUES)
def test_a_message_is_what_the_standard_library_makes_of_it(value: Any) -> None:
    for is_ascii in (True, False):
        raw = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
        assert outcome(codec.message, raw) == outcome(protocol.decode, raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"1 2",
        b"NaN",
        b'{"id": -Infinity}',
        b"1e999",
        b"-0",
        b"01",
        b"1" * 5000,
        b"[" * 500 + b"]" * 500,
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'"\\ud800"',
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b'"\x00"',
        b"\xef\xbb\xbf{}",
        '{"id": 1}'.encode("utf-16"),
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_odd_bytes_are_read_or_refused_as_by_the_standard_library(raw: bytes) -> None:
    assert outcome(codec.message, raw) == outcome(protocol.decode, raw)


@given(st.binary())
@example(b"\xc3")
def test_any_bytes_are_read_or_refused_as_by_the_standard_library(raw: bytes) -> None:
    assert outcome(codec.message, raw) == outcome(protocol.decode, raw)


@given(VALUES)
def test_an_answer_of_the_api_is_what_the_standard_library_makes_of_it(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert repr(codec.answered(raw)) == repr(json.loads(raw))


@given(st.dictionaries(HALVES, HALVES))
def test_an_answer_with_half_characters_is_json_all_the_same(words: dict[str, str]) -> None:
    assert json.loads(codec.encoded(words)) == json.loads(json.dumps(words))
