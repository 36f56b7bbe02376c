"""Who may do what: each call, by each kind of token, for each agent and each other agent.

A plain model says whom a token speaks for; the hub must agree in every cell. The calls are those
of the hub's own tables of routes, so that a new one without a row here fails.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import pytest

from agent_bus.a2a import routes as a2a
from agent_bus.api import openapi
from agent_bus.mcp.endpoint import Mcp
from tests.support.hub import ADMIN, Client, HubProcess, Reply, StreamReader, digest, running
from tests.support.mcp import META, MODERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent_bus.a2a.desk import Desk
    from agent_bus.http.route import Route

FLEET: Final = {"n1": ("alpha", "beta", "epsilon"), "n2": ("gamma",), "n3": ("delta",)}
OWN: Final = {"alpha": False, "gamma": False, "epsilon": True}
"""Agents with a token of their own, and whether their node's token counts, too."""
AGENTS: Final = ("alpha", "beta", "gamma", "delta", "epsilon", "operator")
PAIRS: Final = tuple(itertools.product(AGENTS, AGENTS))
SCRAPE: Final = "scrape-token"
SPEAKS: Final = {
    "token-n1": {"beta", "epsilon"},
    "token-n2": set[str](),
    "token-n3": {"delta"},
    "own-alpha": {"alpha"},
    "own-alpha-new": {"alpha"},
    "own-gamma": {"gamma"},
    "own-epsilon": {"epsilon"},
    ADMIN: {"operator"},
}
WATCHES: Final = {"token-n1": set(FLEET["n1"]), "token-n2": {"gamma"}, "token-n3": {"delta"}}
REVOKED: Final = ("own-beta", "own-alpha-old", "token-n1-old")
TOKENS: Final = (*SPEAKS, SCRAPE, *REVOKED, "")
NO_ID: Final = "0" * 26

Verdict: TypeAlias = Literal["taken", "refused", "unknown"]
Ask: TypeAlias = "Callable[[World, Client, str, str], Reply]"
Rule: TypeAlias = Literal[
    "speaks", "reads", "watches", "any", "admin", "scrape", "open", "parties"
]


@dataclass
class World:
    """A hub with a message and a task of each agent to each other one."""

    hub: HubProcess
    messages: dict[tuple[str, str], str]
    tasks: dict[tuple[str, str], str]


@dataclass(frozen=True)
class Row:
    """Who may make a call, and how it is made by a client, for an agent and another one."""

    rule: Rule
    ask: Ask
    pairs: tuple[tuple[str, str], ...] = tuple((agent, "beta") for agent in AGENTS)


ONCE: Final = (("alpha", "beta"),)


def may(rule: Rule, token: str, agent: str, other: str) -> bool:  # noqa: PLR0911 - one per rule
    """The model: whether a valid token may make a call for an agent (to or with another one)."""
    speaks = SPEAKS.get(token, set())
    match rule:
        case "open":
            return True
        case "scrape":
            return token in {SCRAPE, ADMIN}
        case "admin":
            return token == ADMIN
        case "any":
            return True
        case "watches":
            return agent in WATCHES.get(token, set())
        case "reads":
            return agent in speaks or token == ADMIN
        case "parties":
            return bool({agent, other} & speaks) or token == ADMIN
    return agent in speaks


def expected(rule: Rule, token: str, agent: str, other: str) -> Verdict:
    """The model's verdict about any token."""
    known = token in SPEAKS or (token == SCRAPE and rule == "scrape")
    if not known and rule != "open":
        return "unknown"
    return "taken" if may(rule, token, agent, other) else "refused"


def verdict(reply: Reply) -> Verdict:
    """What a hub's answer means."""
    body = reply.body if isinstance(reply.body, dict) else {}
    if reply.status == 401:
        return "unknown"
    if reply.status == 403 or body.get("code") == "unknown_message":
        return "refused"
    words = str(body.get("error", "")) + str(body.get("result", ""))
    if "TASK_NOT_FOUND" in words or "does not speak" in words or "This token speaks for" in words:
        return "refused"
    assert "unauthenticated" not in words
    assert "is unknown" not in words
    return "taken"


def send(_: World, client: Client, agent: str, other: str) -> Reply:
    return client.post("/api/send", {"from": agent, "to": other, "body": "x"})


def reply_to(world: World, client: Client, agent: str, other: str) -> Reply:
    parent = world.messages[other, agent]
    body = {"from": agent, "to": other, "body": "x", "reply_to": parent}
    return client.post("/api/send", body)


def inbox(_: World, client: Client, agent: str, _other: str) -> Reply:
    return client.get(f"/api/inbox?agent={agent}&peek=1&limit=1")


def ack(_: World, client: Client, agent: str, _other: str) -> Reply:
    return client.post("/api/ack", {"agent": agent, "ids": [NO_ID]})


def history(_: World, client: Client, agent: str, other: str) -> Reply:
    return client.get(f"/api/history?agent={agent}&with={other}&limit=1")


def message(world: World, client: Client, agent: str, other: str) -> Reply:
    return client.get(f"/api/messages/{world.messages[agent, other]}")


def _opened(world: World, token: str, query: str, *, path: str = "/api/stream") -> Reply:
    """The status of an answer that is no JSON."""
    stream = StreamReader(world.hub.port, token, query, path=path)
    stream.close()
    return Reply(stream.status, stream.headers, None)


def stream(world: World, client: Client, agent: str, _other: str) -> Reply:
    return _opened(world, client._token or "", f"agents={agent}")


def watcher(world: World, client: Client, agent: str, _other: str) -> Reply:
    return _opened(world, client._token or "", f"agents={agent}&role=watcher")


def presence(_: World, client: Client, agent: str, _other: str) -> Reply:
    gateways = [{"name": agent, "gateway": "ok"}]
    return client.post("/api/presence", {"node_version": "1", "agents": gateways})


def wakes(_: World, client: Client, agent: str, _other: str) -> Reply:
    report = {"agent": agent, "event": "probed", "probe_id": "none"}
    return client.post("/api/wakes", {"reports": [report]})


def a2a_send(_: World, client: Client, agent: str, other: str) -> Reply:
    params = {
        "message": {
            "messageId": f"{agent}-{other}",
            "role": "ROLE_USER",
            "parts": [{"text": "x"}],
        },
        "configuration": {"returnImmediately": True},
    }
    return _rpc(client, agent, other, "SendMessage", params)


def a2a_get(world: World, client: Client, agent: str, other: str) -> Reply:
    return client.call("GET", f"/a2a/{other}/tasks/{world.tasks[agent, other]}", None, A2A)


def a2a_cancel(world: World, client: Client, agent: str, other: str) -> Reply:
    return client.call("POST", f"/a2a/{other}/tasks/{world.tasks[agent, other]}:cancel", {}, A2A)


def a2a_page(_: World, client: Client, agent: str, other: str) -> Reply:
    headers = {**A2A, "Agent-Bus-Agent": agent}
    return client.call("GET", f"/a2a/{other}/tasks", None, headers)


def rest_send(_: World, client: Client, agent: str, other: str) -> Reply:
    body = {"messageId": f"r-{agent}-{other}", "role": "ROLE_USER", "parts": [{"text": "x"}]}
    configuration = {"returnImmediately": True}
    whole = {"message": body, "configuration": configuration}
    headers = {**A2A, "Agent-Bus-Agent": agent}
    return client.call("POST", f"/a2a/{other}/message:send", whole, headers)


def mcp(_: World, client: Client, agent: str, _other: str) -> Reply:
    params = {"_meta": META, "name": "inbox", "arguments": {"limit": 1}}
    body = {"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params}
    headers = {
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": "inbox",
        "Agent-Bus-Agent": agent,
    }
    return client.call("POST", "/mcp", body, headers)


def _rpc(client: Client, agent: str, other: str, method: str, params: Any) -> Reply:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {**A2A, "Agent-Bus-Agent": agent}
    return client.call("POST", f"/a2a/{other}", body, headers)


def figures(world: World, client: Client, _agent: str, _other: str) -> Reply:
    return _opened(world, client._token or "", "", path="/metrics")


def plainly(method: str, path: str) -> Ask:
    """How a call is made whose refusal needs nothing in it."""

    def ask(_: World, client: Client, agent: str, other: str) -> Reply:
        filled = path.replace("<agent>", other).replace("<name>", agent)
        body: dict[str, Any] | None = None if method == "GET" else {}
        return client.call(method, filled.replace("<task_id>", NO_ID), body, A2A)

    return ask


A2A: Final = {"Content-Type": "application/json", "A2A-Version": "1.0"}
TO_OTHERS: Final = tuple((a, o) for a, o in PAIRS if o != "operator")
ROWS: Final[dict[tuple[str, str], tuple[Row, ...]]] = {
    ("POST", "/api/send"): (Row("speaks", send, PAIRS), Row("speaks", reply_to, PAIRS)),
    ("GET", "/api/inbox"): (Row("reads", inbox),),
    ("POST", "/api/ack"): (Row("speaks", ack),),
    ("GET", "/api/history"): (Row("reads", history, PAIRS),),
    ("GET", "/api/messages/<message_id>"): (Row("parties", message, PAIRS),),
    ("GET", "/api/stream"): (Row("speaks", stream), Row("watches", watcher)),
    ("POST", "/api/presence"): (Row("watches", presence),),
    ("POST", "/api/wakes"): (Row("any", wakes),),
    ("POST", "/a2a/<agent>"): (Row("speaks", a2a_send, TO_OTHERS),),
    ("POST", "/a2a/<agent>/message:send"): (Row("speaks", rest_send, TO_OTHERS),),
    ("GET", "/a2a/<agent>/tasks"): (Row("speaks", a2a_page, TO_OTHERS),),
    ("GET", "/a2a/<agent>/tasks/<task_id>"): (Row("reads", a2a_get, TO_OTHERS),),
    ("POST", "/a2a/<agent>/tasks/<task_id>:cancel"): (Row("reads", a2a_cancel, TO_OTHERS),),
    ("POST", "/mcp"): (Row("speaks", mcp),),
    **{
        (method, path): (Row("any", plainly(method, path), ONCE),)
        for method, path in (
            # what is the same for every token: no agent's mail is in it
            ("GET", "/api/agents"),
            ("GET", "/api/hubs"),
            ("GET", "/api/cluster"),
            ("GET", "/api/stats"),
            ("GET", f"/{a2a.CARD}"),
            ("GET", f"/a2a/{a2a.CARD}"),
            ("GET", f"/a2a/<agent>/{a2a.CARD}"),
            ("POST", "/a2a"),
        )
    },
}
"""Calls that any token may make, and for whom."""


def registry() -> list[Route]:
    """All calls of the API, of A2A and of MCP."""
    found = a2a.routes(cast("Desk", None), version="", own_url=None)
    return [*openapi.table(), *found, *Mcp.routes(cast("Mcp", Mcp))]


def rows(route: Route) -> tuple[Row, ...]:
    """The rows of a call; who may make an operator's call is said by its route."""
    key = (route.method, route.paths[0])
    if route.access == "scrape":
        return (Row("scrape", figures, ONCE),)
    if route.access != "token":
        return (Row(cast("Rule", route.access), plainly(*key), ONCE),)
    return ROWS.get(key, ())


def is_unsupported(route: Route) -> bool:
    """Whether a call of A2A is answered that the hub has nothing like it, whoever asks."""
    path = route.path
    return path.startswith("/a2a/<agent>") and path.endswith(
        (":stream", ":subscribe", "Configs", "<config_id>", "extendedAgentCard")
    )


CALLS: Final = [route for route in registry() if not is_unsupported(route)]
CELLS: Final = [(route, row) for route in CALLS for row in rows(route)]


def roster(**more: Any) -> dict[str, Any]:
    """The fleet of this test, with what differs."""
    return {
        "agents": [{"name": a, "node": n} for n, agents in FLEET.items() for a in agents],
        "tokens": [{"node": n, "sha256": [digest(f"token-{n}")]} for n in FLEET],
        "agent_tokens": [
            {"agent": "alpha", "sha256": [digest("own-alpha"), digest("own-alpha-new")]},
            {"agent": "gamma", "sha256": [digest("own-gamma")]},
            {"agent": "epsilon", "sha256": [digest("own-epsilon")], "node_too": True},
        ],
        **more,
    }


def _with_revoked() -> dict[str, Any]:
    """A roster before this one, in which the revoked tokens counted."""
    tokens = [{"node": n, "sha256": [digest(f"token-{n}")]} for n in FLEET]
    tokens[0]["sha256"] = [digest("token-n1-old")]
    own = [
        {"agent": "alpha", "sha256": [digest("own-alpha-old")]},
        {"agent": "beta", "sha256": [digest("own-beta")]},
    ]
    return roster(tokens=tokens, agent_tokens=own)


@pytest.fixture(scope="module")
def world(on_store: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("matrix")
    scrapers = folder / "scrapers"
    scrapers.write_text(digest(SCRAPE) + "\n")
    settings = {"metrics_tokens_file": str(scrapers), "auth_failures_per_min": 1e6}
    with running(folder, sends_per_s=1e5, send_burst=10**6, hop_limit=1000, **settings) as hub:
        admin = hub.client(None)
        for body in (_with_revoked(), roster()):
            put = admin.call("PUT", "/api/agents", {**body, "force": True})
            assert put.status == 200, put.body
        found = World(hub, {}, {})
        for agent, other in PAIRS:
            client = speaker(hub, agent)
            found.messages[agent, other] = client.send(**{"from": agent, "to": other})["id"]
            if other != "operator":
                task = a2a_send(found, client, agent, other).body["result"]["task"]
                found.tasks[agent, other] = task["id"]
        yield found


def speaker(hub: HubProcess, agent: str) -> Client:
    """A client that speaks for an agent."""
    token = next(token for token, agents in SPEAKS.items() if agent in agents)
    client = Client(hub.port, token)
    hub.opened.append(client)
    return client


def named(cell: tuple[Route, Row]) -> str:
    return f"{cell[0].method} {cell[0].paths[0]} {cell[1].rule}"


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_each_token_may_do_what_the_model_says(world: World, cell: tuple[Route, Row]) -> None:
    route, row = cell
    wrong = []
    for token in TOKENS:
        if token == ADMIN and route.access == "admin" and route.method != "GET":
            continue  # the operator's own acts have their own tests
        client = Client(world.hub.port, token or None)
        for agent, other in row.pairs:
            found = verdict_of(row, world, client, (agent, other))
            if found != expected(row.rule, token, agent, other):
                wrong.append((token, agent, other, found))
        client.close()
    assert not wrong


def verdict_of(row: Row, world: World, client: Client, pair: tuple[str, str]) -> Verdict:
    return verdict(row.ask(world, client, *pair))


def test_every_call_has_a_row() -> None:
    """Of a call for any token, the matrix has to know for whom."""
    without = [f"{route.method} {route.paths[0]}" for route in CALLS if not rows(route)]
    assert without == []
    known = {(route.method, route.paths[0]) for route in CALLS}
    assert ROWS.keys() - known == set()
