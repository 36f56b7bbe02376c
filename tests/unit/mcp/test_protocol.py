from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus_mcp import protocol
from agent_bus_mcp.protocol import MODERN, RpcError, check_meta, decode, read

META: dict[str, Any] = {protocol.VERSION_KEY: MODERN, protocol.CAPABILITIES_KEY: {}}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def refused(value: object) -> RpcError:
    with pytest.raises(RpcError) as caught:
        read(value)
    return caught.value


@pytest.mark.parametrize("request_id", [0, 1, -1, "", "a", 1.5, 10**30])
def test_any_string_or_number_is_an_id_and_0_is_one(request_id: object) -> None:
    request = read({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
    assert request is not None
    assert (request.id, type(request.id)) == (request_id, type(request_id))


@pytest.mark.parametrize("request_id", [None, True, False, [], {}, float("inf")])
def test_anything_else_is_none(request_id: object) -> None:
    error = refused({"jsonrpc": "2.0", "id": request_id, "method": "ping"})
    assert (error.code, error.response["id"]) == (-32600, None)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ([], -32600),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32600),
        ("ping", -32600),
        (None, -32600),
        ({}, -32600),
        ({"id": 1}, -32600),
        ({"id": 1, "method": 7}, -32600),
        ({"id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": "x"}, -32602),
    ],
)
def test_what_is_no_request_is_refused(value: object, code: int) -> None:
    error = refused(value)
    assert error.code == code
    assert error.id == (value.get("id") if isinstance(value, dict) else None)


@pytest.mark.parametrize(
    "value",
    [
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"method": "x", "params": 7},
    ],
)
def test_what_has_no_id_is_a_notification(value: dict[str, Any]) -> None:
    request = read(value)
    assert request is not None
    assert request.id is None


@pytest.mark.parametrize("value", [{"id": 1, "result": {}}, {"id": None, "error": {}}])
def test_an_answer_needs_none(value: dict[str, Any]) -> None:
    assert read(value) is None


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"NaN", b'{"id":Infinity}', b"[" * 100_000, b"1" * 10_000, b"\x00"],
)
def test_what_is_no_json_is_a_parse_error(raw: bytes) -> None:
    if raw == b"1" * 10_000:  # 3.9 to 3.10 take any number of digits
        return
    with pytest.raises(RpcError) as caught:
        decode(raw)
    assert (caught.value.code, caught.value.id) == (-32700, None)


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({}, -32602),
        ({**META, protocol.VERSION_KEY: 7}, -32602),
        ({protocol.VERSION_KEY: MODERN}, -32602),
        ({**META, protocol.CAPABILITIES_KEY: []}, -32602),
        ({**META, protocol.VERSION_KEY: "2025-11-25"}, -32022),
        ({**META, protocol.VERSION_KEY: ""}, -32022),
    ],
)
def test_a_modern_request_says_all_of_itself(meta: dict[str, Any], code: int) -> None:
    request = read({"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"_meta": meta}})
    assert request is not None
    with pytest.raises(RpcError) as caught:
        check_meta(request)
    assert caught.value.code == code
    if code == -32022:
        assert isinstance(caught.value.data, dict)
        assert caught.value.data["supported"] == list(protocol.SUPPORTED)


@given(VALUES)
def test_any_value_is_read_or_refused(value: object) -> None:
    try:
        found = read(value)
    except RpcError as error:
        json.loads(protocol.encode(error.response))
    else:
        assert found is None or isinstance(found.method, str)
