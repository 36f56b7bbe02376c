"""What the gate lets through to an endpoint, in which order it refuses, and what it keeps."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict

from agent_bus.bus.auth import Authenticator
from agent_bus.core.limits import RateLimiter
from agent_bus.core.model import NodeName, Roster
from agent_bus.http.audit import Audit
from agent_bus.http.call import Answer, Call
from agent_bus.http.endpoint import with_both
from agent_bus.http.gate import Gate
from agent_bus.http.route import Action, Header, Route
from agent_bus.http.session import Sessions
from tests.support.bus import bus_in
from tests.support.hub import ADMIN, digest
from tests.support.store import ROSTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core

LIMIT = 100
NODE = "node-token"


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    much: int = 1


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path) as one:
        roster = Roster(agents=ROSTER.agents, tokens={NodeName("n1"): (digest(NODE),)})
        one.bus.put_roster(roster, force=True, dry_run=False)
        yield one


@pytest.fixture
def refusals() -> Counter[str]:
    return Counter()


@pytest.fixture
def ask(core: Core, refusals: Counter[str]) -> Callable[..., Answer]:
    """Sends a request to a route through a gate."""
    limiter = RateLimiter(per_s=1, burst=10, clock=core.clock)
    auth = Authenticator(
        admin_digests=frozenset({digest(ADMIN)}), directory=core.directory, failures=limiter
    )
    gate = Gate(
        auth,
        Sessions(records=core.records, auth=auth, clock=core.clock),
        Audit(records=core.records, clock=core.clock),
        body_limit_bytes=LIMIT,
        read_timeout_s=1,
        refusals=refusals,
    )

    def asked(
        route: Route, token: str = ADMIN, body: bytes = b'{"text":"x"}', **environ: str
    ) -> Answer:
        return gate.answer(
            route,
            {
                "REQUEST_METHOD": "POST",
                "HTTP_AUTHORIZATION": f"Bearer {token}",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
                **environ,
            },
        )

    return asked


def echo(call: Call[Question, Note]) -> Answer:
    content = {"much": call.query.much, "text": call.body.text, "headers": dict(call.headers)}
    return Answer(200, content)


NOTES = Route(
    "POST",
    "/notes",
    with_both(Question, Note, echo),
    access="admin",
    headers=(Header("X-Mark"),),
    action=Action("note"),
)


def test_an_endpoint_gets_what_its_route_takes(ask: Callable[..., Answer]) -> None:
    answer = ask(NOTES, QUERY_STRING="much=3", HTTP_X_MARK="m", HTTP_X_OTHER="o")
    assert answer.content == {"much": 3, "text": "x", "headers": {"x-mark": "m"}}


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (405, {"REQUEST_METHOD": "HEAD", "token": "wrong"}),
        (401, {"token": "wrong", "QUERY_STRING": "none=1", "body": b"x" * (LIMIT + 1)}),
        (413, {"token": NODE, "QUERY_STRING": "none=1", "body": b"x" * (LIMIT + 1)}),
        (403, {"token": NODE, "QUERY_STRING": "none=1", "body": b'{"text":7}'}),
        (400, {"QUERY_STRING": "none=1"}),
        (400, {"body": b'{"text":7}'}),
    ],
)
def test_a_request_that_is_wrong_twice_is_refused_for_the_weightier(
    ask: Callable[..., Answer], refusals: Counter[str], status: int, request_: dict[str, Any]
) -> None:
    answer = ask(NOTES, **request_)
    assert answer.status == status
    assert refusals.total() == 1


def test_only_what_the_operator_does_is_kept(core: Core, ask: Callable[..., Answer]) -> None:
    commits = core.vitals.counts()["commits"]
    by_all = Route("POST", "/notes", with_both(Question, Note, echo), action=Action("note"))
    assert ask(by_all, NODE).status == 200
    assert core.vitals.counts()["commits"] == commits
    assert ask(by_all).status == 200
    (entry,) = core.records.audit(limit=9)
    assert (entry.way, entry.action, entry.detail) == ("api", "note", {"text": "x"})
