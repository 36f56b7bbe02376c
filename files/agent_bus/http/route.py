"""A route: one method of one path, and all that holds for its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from agent_bus.core import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from agent_bus.http.call import Answer, Call
    from agent_bus.http.endpoint import Endpoint

Problems: TypeAlias = tuple[type[errors.BusError], ...]
Access: TypeAlias = Literal["token", "admin", "scrape", "session", "session_write", "open"]
"""Who may call.

`token`: a node or the operator. `admin`: the operator. `scrape`: a scraper or the operator.
`session`: who is signed in to the dashboard. `session_write`: the same, with the page's own proof,
for what changes something. `open`: anybody.
"""
BY_TOKEN: Final = frozenset({"token", "admin", "scrape"})


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that a call reads, and what it means."""

    name: str
    words: str = ""
    key: str = field(init=False)
    """Its name in `Call.headers`."""
    environ: str = field(init=False)
    """Its name in a WSGI environment."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.name.lower())
        object.__setattr__(self, "environ", f"HTTP_{self.name.upper().replace('-', '_')}")


@dataclass(frozen=True, slots=True)
class Action:
    """How the audit keeps a call that the operator makes.

    Attributes:
        name: what was done, in one word.
        hides: fields of the body that are not kept.
        keeps_body: whether any of the body is kept.
        keeps: fields of the answer that are kept.
        has_effect: whether an answer says that anything was done.
    """

    name: str
    hides: frozenset[str] = frozenset()
    keeps_body: bool = True
    keeps: tuple[str, ...] = ()
    has_effect: Callable[[Call[Any, Any], Answer], bool] = lambda _call, _answer: True


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path; the gate enforces all of it, and the document describes it.

    Attributes:
        path: below `/api` unless `at_root`; an `unprefixed` one also answers without it, as the
            first bus's clients ask for it.
        endpoint: what answers, with the models of query and body.
        answer: the model of the answer; the contract test holds endpoints to it.
        other_statuses: with which the same model is answered, too.
        events: the models of a stream's events, by name.
        problems: those of this very call; what any call can answer is added by the document.
        headers: those that the endpoint reads.
        action: how the audit keeps it; None for what changes nothing or is no operator's.
        is_plain: the server may read it with its C parser; for POSTs that come often.
        refused: shows a refusal to a browser; without it the answer is a problem, and counted.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str = ""
    description: str = ""
    answer: type[BaseModel] | None = None
    status: int = 200
    other_statuses: tuple[int, ...] = ()
    events: Mapping[str, type[BaseModel]] | None = None
    problems: Problems = ()
    access: Access = "token"
    headers: tuple[Header, ...] = ()
    action: Action | None = None
    refused: Callable[[Call, errors.BusError], Answer] | None = None
    media_type: str = "application/json"
    is_plain: bool = False
    unprefixed: bool = False
    at_root: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Where it answers; the first is the one to use."""
        if self.at_root:
            return (self.path,)
        prefixed = f"/api{self.path}"
        return (prefixed, self.path) if self.unprefixed else (prefixed,)
