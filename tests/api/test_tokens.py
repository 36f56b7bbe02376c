"""Who may do what: every call with every kind of token."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.support.hub import ADMIN, FLEET, Client, HubProcess, StreamReader, roster, running

if TYPE_CHECKING:
    from pathlib import Path

NODES = (*FLEET, None)
AGENTS = [(agent, node) for node, agents in FLEET.items() for agent in agents]
PAIRS = [(t, a, n) for t, (a, n) in itertools.product(NODES, [*AGENTS, ("operator", None)])]


@pytest.mark.parametrize(("token", "agent", "home"), PAIRS)
def test_a_token_acts_only_for_its_own_agents(
    hub: HubProcess, token: str | None, agent: str, home: str | None
) -> None:
    client = hub.client(token)
    own = token == home
    peer = "delta" if agent != "delta" else "gamma"
    send = client.post("/api/send", {"from": agent, "to": peer, "body": "x"})
    ack = client.post("/api/ack", {"agent": agent, "ids": ["0" * 26]})
    inbox = client.get(f"/api/inbox?agent={agent}&peek=1")
    history = client.get(f"/api/history?agent={agent}")
    stream = client.call("GET", f"/api/stream?agents={agent}") if not own else None
    assert send.status == (201 if own else 403)
    assert ack.status == (200 if own else 403)
    may_read = own or token is None
    assert inbox.status == history.status == (200 if may_read else 403)
    assert stream is None or stream.status == 403
    for refused in (send, ack, inbox, history):
        assert refused.status < 400 or refused.body["code"] == "forbidden"


@pytest.mark.parametrize("token", [*FLEET, None])
def test_a_token_reports_the_presence_of_its_own_agents_only(
    tmp_path: Path, token: str | None
) -> None:
    """A report with one foreign agent in it is refused whole, and names who is to be left out."""
    with running(tmp_path) as hub:
        for node in FLEET:
            hub.stream(node, "role=watcher").of_type("hello")
        client = hub.client(token)
        own = FLEET.get(token or "", ())
        for agent, _ in [*AGENTS, ("nobody-knows", "")]:
            gateways = [{"name": name, "gateway": "down"} for name in sorted({*own, agent})]
            answer = client.post("/api/presence", {"node_version": "1", "agents": gateways})
            listed = hub.client("n1").get("/api/agents").body["agents"]
            down = {one["name"] for one in listed if one["status"] == "gateway-down"}
            if agent in own:
                assert (answer.status, down) == (204, set(own))
                gateways = [{"name": name, "gateway": "ok"} for name in own]
                client.post("/api/presence", {"node_version": "1", "agents": gateways})
            else:
                assert (answer.status, answer.body["code"], down) == (403, "forbidden", set())
                assert answer.body.get("agents") == (None if token is None else [agent])


def test_a_token_streams_its_own_agents_only(tmp_path: Path) -> None:
    """What a stream without `agents` carries, for every node and the operator."""
    with running(tmp_path) as hub:
        for node, agents in FLEET.items():
            assert hub.stream(node).of_type("hello").data["agents"] == list(agents)
            named = hub.stream(node, f"agents={agents[-1]}").of_type("hello").data["agents"]
            assert named == [agents[-1]]
            both = hub.client(node).get(f"/api/stream?agents={agents[0]},operator")
            assert (both.status, both.body["code"]) == (403, "forbidden")
        operator = StreamReader(hub.port, ADMIN)
        hub.opened.append(operator)
        assert operator.of_type("hello").data["agents"] == ["operator"]
        watcher = hub.client(None).get("/api/stream?role=watcher")
        assert (watcher.status, watcher.body["code"]) == (403, "forbidden")


def test_reading_as_operator_never_counts_as_fetching(hub: HubProcess) -> None:
    sent = hub.client("n2").send(to="delta")["id"]
    hub.client(None).get("/api/inbox?agent=delta&limit=500")
    shown = hub.client("n3").get("/api/inbox?limit=500").body["messages"]
    assert next(m for m in shown if m["id"] == sent)["fetch_count"] == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/api/agents"), ("POST", "/api/probes")],
)
def test_operator_calls_are_refused_to_nodes(hub: HubProcess, method: str, path: str) -> None:
    refused = hub.client("n1").call(method, path, roster(FLEET))
    assert (refused.status, refused.body["code"]) == (403, "forbidden")


PATHS = [
    ("POST", "/api/send"), ("GET", "/api/stream"), ("GET", "/api/inbox"), ("POST", "/api/ack"),
    ("GET", "/api/history"), ("GET", "/api/messages/" + "0" * 26), ("GET", "/api/agents"),
    ("PUT", "/api/agents"), ("POST", "/api/presence"), ("POST", "/api/wakes"),
    ("POST", "/api/probes"), ("GET", "/api/stats"), ("POST", "/send"), ("GET", "/inbox"),
    ("GET", "/history"), ("POST", "/ack"), ("GET", "/agents"), ("GET", "/stats"),
]  # fmt: skip


def test_every_call_needs_a_valid_token(tmp_path: Path) -> None:
    with running(tmp_path, auth_failures_per_min=1000) as hub:
        for token, (method, path) in itertools.product((None, "wrong", ""), PATHS):
            client = Client(hub.port, token)
            refused = client.call(method, path, {} if method != "GET" else None)
            client.close()
            assert refused.status == 401, (method, path)
            assert refused.body["code"] == "unauthenticated"
            assert refused.headers["www-authenticate"].startswith("Bearer")


def test_health_is_open_and_names_nobody(hub: HubProcess) -> None:
    client = Client(hub.port, None)
    assert client.get("/livez").status == 200
    ready = client.get("/readyz")
    client.close()
    assert ready.body["ready"] is True
    assert not any(agent in str(ready.body) for agent, _ in AGENTS)


def test_wrong_tokens_are_throttled_and_a_valid_one_never_is(tmp_path: Path) -> None:
    with running(tmp_path, auth_failures_per_min=3) as hub:
        wrong = Client(hub.port, "wrong")
        seen = [wrong.get("/api/agents").status for _ in range(5)]
        refused = wrong.get("/api/agents")
        wrong.close()
        assert seen[:3] == [401] * 3
        assert refused.status == 429
        assert refused.body["code"] == "auth_throttled"
        assert int(refused.headers["retry-after"]) >= 1
        assert hub.client("n1").get("/api/agents").status == 200


def test_two_tokens_of_a_node_are_valid_during_a_rotation(tmp_path: Path) -> None:
    from tests.support.hub import digest

    with running(tmp_path) as hub:
        both = [{"node": "n3", "sha256": [digest("token-n3"), digest("new")]}]
        others = [t for t in roster(FLEET)["tokens"] if t["node"] != "n3"]
        assert hub.enrol(tokens=others + both).body["tokens_changed"] == ["n3"]
        new = Client(hub.port, "new")
        assert new.get("/api/inbox").status == hub.client("n3").get("/api/inbox").status == 200
        new.close()


def test_a_message_is_shown_to_its_sender_and_recipients_only(hub: HubProcess) -> None:
    sent = hub.client("n1").send(**{"from": "alpha", "to": ["gamma", "delta"]})["id"]
    whole = hub.client("n1").get(f"/api/messages/{sent}").body["deliveries"]
    own = hub.client("n2").get(f"/api/messages/{sent}").body["deliveries"]
    assert [d["agent"] for d in whole] == ["gamma", "delta"]
    assert [d["agent"] for d in own] == ["gamma"]
    private = hub.client("n1").send(**{"from": "alpha", "to": "beta"})["id"]
    refused = hub.client("n2").get(f"/api/messages/{private}")
    assert (refused.status, refused.body["code"]) == (404, "unknown_message")
    assert hub.client(None).get(f"/api/messages/{private}").status == 200
