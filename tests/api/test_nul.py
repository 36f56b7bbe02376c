"""U+0000, which PostgreSQL cannot keep: every text of every call refuses it, on either store."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN, FLEET, HubProcess, digest, roster
from tests.support.hubs import log_in
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = "a\0b"
ULID = "0" * 26
SEND: dict[str, Any] = {"from": "gamma", "to": "delta", "body": "x"}
REPORT: dict[str, Any] = {"agent": "gamma", "event": "accepted", "up_to_seq": 1}
PRESENCE: dict[str, Any] = {"node_version": "1", "agents": [{"name": "gamma", "gateway": "ok"}]}
ROSTER = roster(FLEET)

BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/send", {**SEND, "from": BAD}),
    ("POST", "/api/send", {**SEND, "to": BAD}),
    ("POST", "/api/send", {**SEND, "to": ["delta", BAD]}),
    ("POST", "/api/send", {**SEND, "to": f"@{BAD}"}),
    ("POST", "/api/send", {**SEND, "body": BAD}),
    ("POST", "/api/send", {**SEND, "subject": BAD}),
    ("POST", "/api/send", {**SEND, "data": {"k": [BAD]}}),
    ("POST", "/api/send", {**SEND, "data": {BAD: 1}}),
    ("POST", "/api/send", {**SEND, "priority": BAD}),
    ("POST", "/api/send", {**SEND, "reply_to": BAD}),
    ("POST", "/api/send", {**SEND, BAD: 1}),
    ("POST", "/api/ack", {"agent": BAD, "ids": [ULID]}),
    ("POST", "/api/ack", {"agent": "gamma", "ids": [BAD]}),
    ("POST", "/api/ack", {"agent": "gamma", "up_to": BAD}),
    ("PUT", "/api/agents", {**ROSTER, "agents": [{"name": BAD, "node": "n1"}]}),
    ("PUT", "/api/agents", {**ROSTER, "agents": [{"name": "gamma", "node": BAD}]}),
    ("PUT", "/api/agents", {**ROSTER, "groups": {BAD: ["gamma"]}}),
    ("PUT", "/api/agents", {**ROSTER, "groups": {"all-of-it": [BAD]}}),
    ("PUT", "/api/agents", {**ROSTER, "tokens": [{"node": BAD, "sha256": [digest("x")]}]}),
    ("PUT", "/api/agents", {**ROSTER, "tokens": [{"node": "n1", "sha256": [BAD]}]}),
    ("POST", "/api/presence", {**PRESENCE, "node_version": BAD}),
    ("POST", "/api/presence", {**PRESENCE, "agents": [{"name": BAD, "gateway": "ok"}]}),
    ("POST", "/api/presence", {**PRESENCE, "agents": [{"name": "gamma", "gateway": BAD}]}),
    ("POST", "/api/presence", {**PRESENCE, "unconfigured": [BAD]}),
    ("POST", "/api/presence", {**PRESENCE, "gateway_kind": BAD}),
    ("POST", "/api/wakes", {"reports": [{**REPORT, "agent": BAD}]}),
    ("POST", "/api/wakes", {"reports": [{**REPORT, "event": BAD}]}),
    ("POST", "/api/wakes", {"reports": [{**REPORT, "reason": BAD}]}),
    ("POST", "/api/wakes", {"reports": [{**REPORT, "probe_id": BAD}]}),
    ("POST", "/api/probes", {"agents": [BAD]}),
]
FOR_ADMIN = {"/api/agents", "/api/probes"}
QUERIES = [
    "/api/inbox?agent=a%00b", "/api/inbox?priority=a%00b", "/api/inbox?thread=a%00b",
    "/api/inbox?cursor=a%00b", "/api/history?agent=a%00b", "/api/history?with=a%00b",
    "/api/history?thread=a%00b", "/api/history?since=a%00b", "/api/history?order=a%00b",
    "/api/history?cursor=a%00b", "/api/stream?role=a%00b", "/api/history?a%00b=1",
]  # fmt: skip
PAGES = ["/messages?text=a%00b", "/messages?agent=a%00b", "/latency?host=a%00b"]
UNKNOWN = [
    ("GET", "/api/messages/a%00b"),
    ("POST", "/api/agents/a%00b/mute"),
    ("POST", "/api/agents/a%00b/wake"),
    ("GET", "/api/stream?agents=a%00b"),
]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    one = HubProcess(tmp_path_factory.mktemp("hub"), store=request.param)
    try:
        one.start()
        assert one.enrol().status == 200
        yield one
        for words in ("Traceback", "NUL", "failed"):
            assert words not in one.log()
    finally:
        one.hang_up()
        one.kill()


@pytest.mark.parametrize(("method", "path", "body"), BODIES, ids=str)
def test_no_field_of_a_body_takes_it(
    hub: HubProcess, method: str, path: str, body: dict[str, Any]
) -> None:
    client = hub.client(None if path in FOR_ADMIN else "n2")
    refused = client.call(method, path, body)
    assert (refused.status, refused.body["code"]) == (400, "invalid_request"), refused.body


@pytest.mark.parametrize("path", QUERIES)
def test_no_parameter_takes_it(hub: HubProcess, path: str) -> None:
    refused = hub.client("n2").get(path)
    assert (refused.status, refused.body["code"]) == (400, "invalid_request"), refused.body


@pytest.mark.parametrize(("method", "path"), UNKNOWN)
def test_nothing_has_such_a_name(hub: HubProcess, method: str, path: str) -> None:
    body = {"for_s": 1} if path.endswith("mute") else None
    client = hub.client(None if method == "POST" else "n2")
    assert client.call(method, path, body).status in {400, 404}


def test_no_page_of_the_dashboard_takes_it(hub: HubProcess) -> None:
    _, cookie = log_in(hub, ADMIN)
    for path in PAGES:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
        connection.request(
            "GET", path, headers={"Cookie": f"agent_bus_session_{hub.port}={cookie}"}
        )
        assert connection.getresponse().status == 400, path
        connection.close()
    assert log_in(hub, "%00")[0] == 401
