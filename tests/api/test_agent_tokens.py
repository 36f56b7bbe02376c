"""Agents with a token of their own: their node's token watches them, and reads nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import (
    FLEET,
    Client,
    HubProcess,
    Reply,
    StreamReader,
    digest,
    roster,
    running,
)
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = {"subject": "s3cret-subject", "body": "s3cret-body", "data": {"k": "s3cret-data"}}


def own(agent: str, *tokens: str, node_too: bool = False) -> dict[str, Any]:
    """An agent's entry of the roster."""
    digests = [digest(token) for token in tokens or (f"own-{agent}",)]
    return {"agent": agent, "sha256": digests, "node_too": node_too}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    """One in which alpha, of node n1, has a token of its own."""
    with running(tmp_path) as one:
        put(one, own("alpha"))
        yield one


def put(hub: HubProcess, *entries: dict[str, Any], **more: Any) -> Any:
    """Put a roster with these tokens of agents, and answer what it changed."""
    reply = hub.enrol(agent_tokens=list(entries), **more)
    assert reply.status == 200, reply.body
    return reply.body


def client_of(hub: HubProcess, token: str = "own-alpha") -> Client:
    client = Client(hub.port, token)
    hub.opened.append(client)
    return client


def stream_of(hub: HubProcess, query: str = "", token: str = "own-alpha") -> StreamReader:
    stream = StreamReader(hub.port, token, query)
    hub.opened.append(stream)
    return stream


def test_the_watcher_hears_of_mail_without_what_it_says(hub: HubProcess) -> None:
    """From the backlog and live; what is due to wake the agent is all there."""
    sender = hub.client("n3")
    first = sender.send(to=["alpha", "beta"], **{**SECRET, "body": "s3cret-1"})["id"]
    watcher = hub.stream("n1", "role=watcher")
    hello = watcher.of_type("hello").data
    assert hello["agents"] == ["alpha", "beta"]
    assert {box["agent"]: box["unfetched"] for box in hello["mailboxes"]} == {
        "alpha": 1,
        "beta": 1,
    }
    backlog = [watcher.of_type("message").data for _ in range(2)]
    live_id = sender.send(to=["alpha", "beta"], **SECRET)["id"]
    live = [watcher.of_type("message").data for _ in range(2)]
    for shown, message_id in ((backlog, first), (live, live_id)):
        withheld, whole = shown
        assert (withheld["to_agent"], withheld["id"]) == ("alpha", message_id)
        assert withheld["withheld"] is True
        assert (withheld["subject"], withheld["body"], withheld["data"]) == (None, "", None)
        assert "s3cret" not in str(withheld)
        assert withheld["seq"] + 1 == whole["seq"]
        assert (whole["to_agent"], whole["data"]) == ("beta", SECRET["data"])
        assert "withheld" not in whole
    box = watcher.of_type("mailbox").data
    assert (box["agent"], box["unfetched"]) == ("alpha", 2)


def test_the_agents_own_stream_has_all_and_the_nodes_plain_one_nothing(hub: HubProcess) -> None:
    plain, mine = hub.stream("n1"), stream_of(hub)
    assert plain.of_type("hello").data["agents"] == ["beta"]
    assert mine.of_type("hello").data["agents"] == ["alpha"]
    hub.client("n3").send(to=["alpha", "beta"], **SECRET)
    assert plain.of_type("message").data["to_agent"] == "beta"
    shown = mine.of_type("message").data
    assert {**shown, **SECRET} == shown


def test_a_watcher_that_is_connected_reads_no_more_once_an_agent_has_a_token(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as hub:
        watcher, plain = hub.stream("n1", "role=watcher"), hub.stream("n1")
        for stream in (watcher, plain):
            stream.of_type("hello")
        sender = hub.client("n3")
        sender.send("open", to="alpha")
        assert watcher.of_type("message").data["body"] == "open"
        assert plain.of_type("message").data["body"] == "open"
        put(hub, own("alpha", node_too=True))
        sender.send("both", to="alpha")
        assert watcher.of_type("message").data["body"] == "both"
        assert plain.of_type("message").data["body"] == "both"
        assert put(hub, own("alpha"))["agent_tokens_changed"] == ["alpha"]
        sender.send("hidden", to="alpha")
        sender.send("seen", to="beta")
        assert watcher.of_type("message").data["withheld"] is True
        assert plain.of_type("message").data["body"] == "seen"
        put(hub)
        sender.send("again", to="alpha")
        assert watcher.of_type("message").data["body"] == "seen"
        assert watcher.of_type("message").data["body"] == "again"
        assert plain.of_type("message").data["body"] == "again"


def test_a_stream_ends_with_the_agents_token(hub: HubProcess) -> None:
    put(hub, own("alpha", "own-alpha", "own-alpha-new"))
    old, new = stream_of(hub), stream_of(hub, token="own-alpha-new")
    for stream in (old, new):
        stream.of_type("hello")
    put(hub, own("alpha", "own-alpha-new"))
    assert old.of_type("bye").data["reason"] == "revoked"
    hub.client("n3").send("on", to="alpha")
    assert new.of_type("message").data["body"] == "on"
    put(hub)
    assert new.of_type("bye").data["reason"] == "revoked"
    assert client_of(hub, "own-alpha-new").get("/api/inbox").status == 401


def test_a_token_goes_with_its_agent_to_another_node(hub: HubProcess) -> None:
    """Its stream is opened again as one of the new node; the old node's watcher hears nothing."""
    stream, watcher = stream_of(hub), hub.stream("n1", "role=watcher")
    for one in (stream, watcher):
        one.of_type("hello")
    moved = {**FLEET, "n1": ("beta",), "n2": ("alpha", "gamma")}
    body = roster(moved, agent_tokens=[own("alpha")])
    assert hub.client(None).call("PUT", "/api/agents", body).body["moved"] == ["alpha"]
    assert stream.of_type("bye").data["reason"] == "lifetime"
    again = stream_of(hub)
    assert again.of_type("hello").data["agents"] == ["alpha"]
    hub.client("n3").send("there", to="alpha")
    hub.client("n3").send("here", to="beta")
    assert again.of_type("message").data["body"] == "there"
    assert watcher.of_type("message").data["body"] == "here"
    assert hub.client("n2").get("/api/inbox?agent=alpha").status == 403


@pytest.mark.parametrize("token", ["token-n1", "own-alpha"])
def test_a_long_poll_ends_when_its_token_loses_the_agent(tmp_path: Path, token: str) -> None:
    with running(tmp_path, streams_per_token=1) as hub, ThreadPoolExecutor(1) as pool:
        put(hub, own("alpha", node_too=True))
        poll = pool.submit(_held, client_of(hub, token))
        second = client_of(hub, token)
        short = "/api/inbox?agent=alpha&wait_s=0.01"
        wait_until(lambda: second.get(short).status == 503, "the token's one place is taken")
        put(hub, own("alpha", "another"))
        assert poll.result().status in {401, 403}


def _held(client: Client) -> Reply:
    """The answer to a long poll; asked again while its token's one place is taken by a look."""
    while (reply := client.get("/api/inbox?agent=alpha&wait_s=60")).status == 503:
        pass
    return reply


def test_receipts_of_what_an_agent_sent_go_to_its_own_streams_only(hub: HubProcess) -> None:
    mine, plain = stream_of(hub, "receipts=1"), hub.stream("n1", "role=watcher&receipts=1")
    for stream in (mine, plain):
        stream.of_type("hello")
    reader = hub.client("n3")
    ids = [
        client_of(hub).send("x", to="delta")["id"],
        hub.client("n1").send("x", to="delta", **{"from": "beta"})["id"],
    ]
    reader.post("/api/ack", {"ids": ids})
    assert mine.of_type("receipt").data["id"] == ids[0]
    assert plain.of_type("receipt").data["id"] == ids[1]


def test_only_the_nodes_watcher_reports_of_wakes(hub: HubProcess) -> None:
    sent = hub.client("n3").send("x", to="alpha")
    seq = sent["recipients"][0]["seq"]
    admin = hub.client(None)
    for client, event in ((client_of(hub), "accepted"), (hub.client("n1"), "received")):
        report = {"agent": "alpha", "event": event, "up_to_seq": seq}
        assert client.post("/api/wakes", {"reports": [report]}).status == 204

    def timeline() -> Any:
        return admin.get(f"/api/messages/{sent['id']}").body["deliveries"][0]

    wait_until(lambda: timeline()["received_at"] is not None, "the watcher's report is stored")
    assert timeline()["accepted_at"] is None


def test_a_refusal_says_that_the_agent_has_a_token_of_its_own(hub: HubProcess) -> None:
    refused = hub.client("n1").get("/api/inbox?agent=alpha")
    assert refused.status == 403
    assert refused.body["detail"] == (
        "This token speaks for beta, not for alpha. alpha has a token of its own, which its own "
        "user can read."
    )
    stranger = hub.client("n3").get("/api/inbox?agent=alpha").body["detail"]
    assert stranger == "This token speaks for delta, not for alpha."


def test_two_tokens_of_an_agent_are_told_as_a_rotation(hub: HubProcess) -> None:
    put(hub, own("alpha", "own-alpha", "own-alpha-new"))
    stats = hub.client(None).get("/api/stats").body["reserves"]
    assert [one["node"] for one in stats["rotating"]] == ["agent alpha"]
    assert any("old one of agent alpha is accepted" in line for line in stats["words"])
    put(hub, own("alpha", "own-alpha-new"))
    assert hub.client(None).get("/api/stats").body["reserves"]["rotating"] == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([own("nobody")], "with a token but not in agents: nobody"),
        ([own("alpha"), own("alpha", "x")], "named twice: alpha"),
        ([own("alpha", "same"), own("beta", "same")], "named twice: "),
        ([own("alpha", "token-n1")], "named twice: "),
        ([own("alpha", "a", "b", "c")], "agent_tokens"),
        ([{"agent": "alpha", "sha256": []}], "agent_tokens"),
    ],
)
def test_a_roster_with_doubtful_tokens_is_refused(
    hub: HubProcess, entries: list[dict[str, Any]], words: str
) -> None:
    reply = hub.enrol(agent_tokens=entries)
    assert reply.status == 400
    assert words in reply.body["detail"]


def test_a_token_of_an_agent_that_has_left_is_nobodys(hub: HubProcess) -> None:
    """Even if an earlier release has retired it, which leaves the tokens of agents alone."""
    left = {**FLEET, "n1": ("beta",)}
    assert hub.client(None).call("PUT", "/api/agents", roster(left)).status == 200
    assert client_of(hub).get("/api/inbox").status == 401
