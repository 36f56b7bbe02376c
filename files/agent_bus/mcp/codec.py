"""JSON with pydantic's parser and writer, at a fifth of what the standard library takes.

What they refuse goes to the standard library, which takes all that `agent_bus_mcp` speaks: half
characters, UTF-16, deep nesting. What is no JSON either way is refused there, in its words.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from agent_bus_mcp import protocol


def message(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value of what a client sent.

    Raises:
        protocol.RpcError: it is none.
    """
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError:
        return protocol.decode(raw)


def encoded(response: dict[str, Any]) -> bytes:
    """An answer to a client as JSON."""
    try:
        return to_json(response)
    except PydanticSerializationError:  # half a character: no UTF-8 has it
        return protocol.encode(response)


def answered(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value of what an endpoint of the API answered."""
    try:
        return from_json(raw)
    except ValueError:  # half a character
        return json.loads(raw)
