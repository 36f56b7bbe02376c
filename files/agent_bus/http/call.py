"""What an endpoint gets and answers, free of any web framework.

`gate.py` makes a `Call` from each request that its route lets pass, and the server's response from
the `Answer`. Endpoints are plain functions between the two.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from typing_extensions import TypeVar

from agent_bus.core.model import value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent_bus.bus.auth import Principal

Query_co = TypeVar("Query_co", covariant=True, default=None)
Body_co = TypeVar("Body_co", covariant=True, default=None)


def _never() -> bool:
    return False


@value
class Call(Generic[Query_co, Body_co]):
    """One request that may reach its endpoint: who asks, and for what.

    `Call[InboxQuery]` has a query, `Call[None, SendBody]` a body, and a bare `Call` neither.

    Attributes:
        query: the query parameters as the route's model.
        body: the body as the route's model.
        headers: those that the route reads, by lower-case name.
        path: the variable parts of the path.
        parameters: the query parameters as they came, one value per name.
        socket: the peer's; None where the server gives none, as in tests.
        address: the peer's, as far as the server knows it.
        scheme: `https` when the request came by TLS.
        protocol: the request's version of HTTP.
        is_dropped: tells whether the client has said that it wants no answer any more, where it
            can say so without hanging up.
    """

    principal: Principal
    query: Query_co
    body: Body_co
    headers: Mapping[str, str] = field(default_factory=dict)
    path: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    socket: Any = None
    address: str = ""
    scheme: str = "http"
    protocol: str = "HTTP/1.1"
    is_dropped: Callable[[], bool] = _never


@value
class PlainRequest:
    """A POST that the server has read whole, before it knows whether the call may be made.

    Attributes:
        target: its path.
        token_sha256: the digest of its bearer token; empty without one.
        headers: those that the route reads, by lower-case name.
        socket: the peer's.
        closes: whether the connection ends with it.
    """

    target: bytes
    token_sha256: str
    headers: Mapping[str, str]
    body: bytes
    address: str
    socket: Any
    closes: bool


AnyCall: TypeAlias = Call[object, object]
"""For what looks at neither query nor body."""


@value
class Answer:
    """A JSON answer; `raw` bytes of another type, or a stream of `frames`, when set."""

    status: int
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    frames: Iterable[bytes] | None = None
    raw: bytes | None = None


Done: TypeAlias = "Callable[[Answer | Exception], None]"
"""What is called with the outcome of a call, in the loop, now or later; once, and never raises."""
