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
from agent_bus.http.call import Answer, Call, PlainRequest
from agent_bus.http.endpoint import with_body, with_both
from agent_bus.http.gate import Gate
from agent_bus.http.route import Action, Header, Route
from agent_bus.http.session import Sessions
from agent_bus.runtime import greenlets
from tests.support.bus import bus_in
from tests.support.hub import ADMIN, digest
from tests.support.store import ROSTER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.http.call import Done

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
def gate(core: Core, refusals: Counter[str]) -> Gate:
    limiter = RateLimiter(per_s=1, burst=10, clock=core.clock)
    auth = Authenticator(
        admin_digests=frozenset({digest(ADMIN)}), directory=core.directory, failures=limiter
    )
    return Gate(
        auth,
        Sessions(records=core.records, auth=auth, clock=core.clock),
        Audit(records=core.records, clock=core.clock),
        body_limit_bytes=LIMIT,
        read_timeout_s=1,
        refusals=refusals,
    )


@pytest.fixture
def ask(gate: Gate) -> Callable[..., Answer]:
    """Sends a request to a route through a gate."""

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


# What the loop itself begins


def noted(call: Call[None, Note]) -> Answer:
    if call.body.text == "defect":
        raise RuntimeError("a defect")
    return Answer(200, {"text": call.body.text, "mark": call.headers.get("x-mark")})


def begun(call: Call[None, Note], done: Done) -> None:
    if call.body.text == "wait":
        raise greenlets.MustWaitError
    if call.body.text == "later":
        done(RuntimeError("what came of it"))
        return
    done(noted(call))


PLAIN = Route(
    "POST",
    "/plain",
    with_body(Note, noted, begin=begun),
    headers=(Header("X-Mark"),),
    action=Action("note"),
)


def plain(body: bytes, token: str = NODE) -> PlainRequest:
    sha256 = digest(token) if token else ""
    return PlainRequest(b"/plain", sha256, {"x-mark": "m"}, body, "127.0.0.1", None, closes=False)


@pytest.mark.parametrize(
    ("status", "body", "token"),
    [
        (200, b'{"text":"x"}', NODE),
        (401, b'{"text":"x"}', ""),
        (401, b'{"text":"x"}', "wrong"),
        (401, b"x" * (LIMIT + 1), "wrong"),
        (413, b"x" * (LIMIT + 1), NODE),
        (400, b'{"text":7}', NODE),
        (400, b"no JSON", NODE),
        (500, b'{"text":"defect"}', NODE),
    ],
)
def test_the_loop_answers_what_a_greenlet_answers(
    gate: Gate, refusals: Counter[str], status: int, body: bytes, token: str
) -> None:
    answers: list[Answer] = []
    assert gate.begin(PLAIN, plain(body, token), answers.append)
    first, refusals_of_loop = answers.pop(), Counter(refusals)
    assert first.status == status
    assert gate.answer(PLAIN, plain(body, token)) == first
    assert refusals == refusals_of_loop + refusals_of_loop


def test_what_fails_later_is_a_problem_too(gate: Gate) -> None:
    answers: list[Answer] = []
    assert gate.begin(PLAIN, plain(b'{"text":"later"}'), answers.append)
    assert [answer.status for answer in answers] == [500]


def test_what_must_wait_is_not_begun_in_the_loop(gate: Gate, core: Core) -> None:
    """The audit waits for the disk, too, so what the operator does goes to a greenlet."""
    answers: list[Answer] = []
    assert not gate.begin(PLAIN, plain(b'{"text":"wait"}'), answers.append)
    assert not gate.begin(NOTES, plain(b'{"text":"x"}'), answers.append)
    assert not gate.begin(PLAIN, plain(b'{"text":"x"}', ADMIN), answers.append)
    assert answers == []
    assert gate.answer(PLAIN, plain(b'{"text":"x"}', ADMIN)).status == 200
    assert [entry.action for entry in core.records.audit(limit=9)] == ["note"]
