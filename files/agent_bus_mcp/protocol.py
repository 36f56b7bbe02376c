"""JSON-RPC and the two eras of MCP: what a message is, and which version it speaks. Pure.

Since 2026-07-28 ("modern") each request says in `params._meta` which version it speaks, and there
is no handshake. Before ("legacy") a client begins with `initialize`. Source: the specification of
2026-07-28, pages "Overview" and "Versioning and Compatibility".
"""

from __future__ import annotations

import json
from math import isfinite

TYPE_CHECKING = False  # without `typing`, the start is a quarter shorter
if TYPE_CHECKING:
    from typing import Any, Optional, Union

    Id = Union[str, int, float]

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18")
SUPPORTED = (MODERN, *LEGACY)
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_KEY = "io.modelcontextprotocol/serverInfo"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022


class RpcError(Exception):
    """A request that is answered with an error of the protocol.

    Attributes:
        id: the request's; None if it could not be read.
    """

    def __init__(
        self, code: int, message: str, *, data: object = None, request_id: Optional[Id] = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        self.id = request_id

    @property
    def response(self) -> dict[str, Any]:
        """The answer."""
        error: dict[str, Any] = {"code": self.code, "message": str(self)}
        if self.data is not None:
            error["data"] = self.data
        return {"jsonrpc": "2.0", "id": self.id, "error": error}


class Request:
    """One request, or a notification: then there is no `id`.

    Attributes:
        meta: its `_meta`.
        is_modern: whether it says by itself which version it speaks.
    """

    __slots__ = ("id", "is_modern", "meta", "method", "params")

    def __init__(self, request_id: Optional[Id], method: str, params: dict[str, Any]) -> None:
        self.id = request_id
        self.method = method
        self.params = params
        meta = params.get("_meta")
        self.meta: dict[str, Any] = meta if isinstance(meta, dict) else {}
        self.is_modern = VERSION_KEY in self.meta

    def error(self, code: int, message: str, *, data: object = None) -> RpcError:
        """Return an error about this request."""
        return RpcError(code, message, data=data, request_id=self.id)


def decode(raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Return the JSON value of a message.

    Raises:
        RpcError: it is none.
    """
    try:
        return _DECODER.decode(raw.decode(json.detect_encoding(raw), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        words = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise RpcError(PARSE_ERROR, f"not JSON: {words}") from error


def read(value: object) -> Optional[Request]:
    """Return a message as a request or notification; None for one that needs no answer.

    Raises:
        RpcError: it is no message.
    """
    if isinstance(value, list):
        raise RpcError(INVALID_REQUEST, "batches are not spoken: send one message at a time")
    if not isinstance(value, dict):
        raise RpcError(INVALID_REQUEST, "a message is a JSON object")
    is_request = "id" in value
    request_id = value.get("id")
    if not _is_id(request_id):
        if is_request and "method" in value:
            raise RpcError(INVALID_REQUEST, "id: a string or a number")
        request_id = None
    method = value.get("method")
    if method is None and ("result" in value or "error" in value):
        return None  # an answer, though nothing was asked
    if not is_request and isinstance(method, str):
        params = value.get("params")
        return Request(None, method, params if isinstance(params, dict) else {})
    return _request(value, request_id)


def _request(value: dict[str, Any], request_id: Optional[Id]) -> Request:
    method, params = value.get("method"), value.get("params")
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, "method: a string", request_id=request_id)
    if value.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, 'jsonrpc: must be "2.0"', request_id=request_id)
    if params is not None and not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params: a JSON object", request_id=request_id)
    return Request(request_id, method, params or {})


def check_meta(request: Request) -> None:
    """Check what each modern request says of itself.

    Raises:
        RpcError: something is missing, or it is another version.
    """
    version = request.meta.get(VERSION_KEY)
    if not isinstance(version, str):
        raise request.error(
            INVALID_PARAMS,
            f"params._meta: {VERSION_KEY} is missing; a client of {LEGACY[0]} or before begins"
            " with initialize",
        )
    if version != MODERN:
        raise unsupported(request, version)
    if not isinstance(request.meta.get(CAPABILITIES_KEY), dict):
        raise request.error(
            INVALID_PARAMS, f"params._meta: {CAPABILITIES_KEY} is missing: a JSON object"
        )


def unsupported(request: Request, version: Optional[str]) -> RpcError:
    """Return the error for a version that is not spoken, or not in this way."""
    return request.error(
        UNSUPPORTED_VERSION,
        f"Unsupported protocol version: {MODERN} is spoken by each request, older ones after"
        " initialize",
        data={"supported": list(SUPPORTED), "requested": version},
    )


def encode(message: dict[str, Any]) -> bytes:
    """Return a message as one line of ASCII, without its end."""
    return _ENCODER.encode(message).encode("ascii")


def _is_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (str, int)) or (isinstance(value, float) and isfinite(value))


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


# Made once: `json.loads` and `json.dumps` with options make one per call, at twice the cost.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_ENCODER = json.JSONEncoder(separators=(",", ":"))
