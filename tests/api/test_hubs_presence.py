"""Two hubs on one database: who is connected where, and what the operator asks of whom."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN, FLEET, digest, roster
from tests.support.hubs import hubs_in, log_in
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub import HubProcess, StreamReader


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[HubProcess]]:
    """Two hubs for the tests of this module."""
    with hubs_in(tmp_path_factory.mktemp("hubs"), keepalive_s=0.2) as both:
        yield both


def watcher(hub: HubProcess, node: str) -> StreamReader:
    stream = hub.stream(node, "role=watcher")
    stream.of_type("hello")
    return stream


def agent(hub: HubProcess, name: str) -> dict[str, Any]:
    listed = hub.client(None).get("/api/agents").body["agents"]
    return next(one for one in listed if one["name"] == name)


def statuses(hubs: list[HubProcess], name: str) -> list[str]:
    return [agent(hub, name)["status"] for hub in hubs]


def presence(**gateways: str) -> dict[str, Any]:
    agents = [{"name": name, "gateway": state} for name, state in gateways.items()]
    return {"node_version": "0.1.0-test", "agents": agents}


def test_a_watcher_is_seen_at_every_hub(hubs: list[HubProcess]) -> None:
    stream = watcher(hubs[0], "n2")
    wait_until(lambda: statuses(hubs, "gamma") == ["online"] * 2, "online at both")
    sent = hubs[1].client("n1").send(**{"from": "alpha", "to": "gamma"})
    assert sent["recipients"][0]["reachability"] == "online"
    hubs[1].client("n2").post("/api/presence", presence(gamma="down"))
    wait_until(lambda: statuses(hubs, "gamma") == ["gateway-down"] * 2, "down at both")
    stream.close()
    wait_until(lambda: statuses(hubs, "gamma") == ["deaf"] * 2, "deaf at both")


def test_a_watcher_that_moves_ends_its_older_stream_at_the_other_hub(
    hubs: list[HubProcess],
) -> None:
    first = watcher(hubs[0], "n3")
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "its lease is known at both")
    second = watcher(hubs[1], "n3")
    assert first.of_type("bye").data["reason"] == "superseded"
    third = watcher(hubs[0], "n3")
    assert second.of_type("bye").data["reason"] == "superseded"
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "online at both")
    hubs[1].client("n1").send("still here", **{"from": "alpha", "to": "delta"})
    assert third.of_type("message").data["body"] == "still here"
    third.close()


def test_wakes_mutes_and_probes_reach_the_watcher_wherever_it_is(hubs: list[HubProcess]) -> None:
    stream = watcher(hubs[0], "n3")
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "online at both")
    admin = hubs[1].client(None)
    assert admin.call("POST", "/api/agents/delta/wake").body["node"] == "n3"
    assert stream.of_type("wake").data["agents"] == ["delta"]
    muted = admin.post("/api/agents/delta/mute", {"for_s": 3600}).body["muted_until"]
    assert stream.of_type("mailbox").data["muted_until"] == muted
    assert agent(hubs[0], "delta")["muted_until"] == muted
    admin.post("/api/agents/delta/mute", {"for_s": 0})
    assert stream.of_type("mailbox").data["muted_until"] is None

    def answer() -> None:
        probe = stream.of_type("probe").data
        report = {"agent": "delta", "event": "probed", "probe_id": probe["probe_id"]}
        hubs[0].client("n3").post("/api/wakes", {"reports": [{**report, "duration_ms": 1.5}]})

    answering = threading.Thread(target=answer)
    answering.start()
    found = admin.post("/api/probes", {"agents": ["delta", "gamma"]}).body["results"]
    answering.join()
    assert [one["ok"] for one in found] == [True, False]
    stream.close()


def test_wakes_that_gateways_took_are_known_everywhere(hubs: list[HubProcess]) -> None:
    hubs[0].client("n1").send(**{"from": "alpha", "to": "delta"})
    report = {"agent": "delta", "event": "accepted", "up_to_seq": 1, "duration_ms": 3}
    hubs[0].client("n3").post("/api/wakes", {"reports": [report]})
    told = agent(hubs[0], "delta")["last_wake_at"]
    assert told
    wait_until(lambda: agent(hubs[1], "delta")["last_wake_at"] == told, "the other knows it")


def test_a_rotated_token_is_refused_at_all_hubs_once_the_roster_is_put(
    hubs: list[HubProcess],
) -> None:
    stream = hubs[1].stream("n2")
    stream.of_type("hello")
    tokens = roster(FLEET)["tokens"]
    new = [t if t["node"] != "n2" else {"node": "n2", "sha256": [digest("new")]} for t in tokens]
    try:
        assert hubs[0].enrol(tokens=new).status == 200
        for hub in hubs:
            assert hub.client("n2").get("/api/inbox").status == 401
        assert stream.of_type("bye").data["reason"] == "revoked"
    finally:
        assert hubs[1].enrol().status == 200
    for hub in hubs:
        assert hub.client("n2").get("/api/inbox").status == 200


def is_signed_in(hub: HubProcess, cookie: str) -> bool:
    named = {"Cookie": f"agent_bus_session_{hub.port}={cookie}"}
    return hub.client("nobody").call("GET", "/ui/session", None, named).status == 204


def test_a_session_and_a_link_count_at_every_hub(hubs: list[HubProcess]) -> None:
    _, cookie = log_in(hubs[0], ADMIN)
    for hub in hubs:
        assert is_signed_in(hub, cookie), "at once"
    link = hubs[0].client(None).call("POST", "/api/admin/login-link").body
    code = link["path"].partition("link=")[2]
    status, cookie = log_in(hubs[1], code)
    assert status == 303
    assert is_signed_in(hubs[0], cookie)
    assert log_in(hubs[0], code)[0] == 401


def test_each_hub_grants_its_share_of_a_senders_rate(tmp_path: Path) -> None:
    with hubs_in(tmp_path, sends_per_s=0.01, send_burst=10) as hubs:
        body = {"from": "alpha", "to": "gamma", "body": "x"}

        def accepted(hub: HubProcess) -> int:
            answers = [hub.client("n1").post("/api/send", body).status for _ in range(10)]
            return answers.count(201)

        assert [accepted(hub) for hub in hubs] == [5, 5]


def test_pauses_and_wakes_of_one_hub_hold_at_the_other(hubs: list[HubProcess]) -> None:
    body = {**roster(FLEET), "budgets": {"fleet": None, "agents": {"delta": {"per_day": 2}}}}
    assert hubs[0].client(None).call("PUT", "/api/agents", body).status == 200
    stream = watcher(hubs[0], "n3")
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "online at both")
    hubs[1].client(None).post("/api/pauses", {"who": "all", "note": "quiet"})
    assert stream.of_type("mailbox").data["held"] == "paused"
    wait_until(lambda: statuses(hubs, "delta") == ["paused"] * 2, "paused at both")
    hubs[0].client(None).post("/api/pauses/end", {"who": "all"})
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "resumed at both")
    seq = hubs[1].client("n2").send(to="delta")["recipients"][0]["seq"]
    report = {"agent": "delta", "event": "accepted", "up_to_seq": seq}
    for hub in hubs:
        assert hub.client("n3").post("/api/wakes", {"reports": [report]}).status == 204
    wait_until(lambda: statuses(hubs, "delta") == ["budget"] * 2, "each has counted both")

    def counted() -> bool:
        found = hubs[0].client(None).get("/api/wakes?days=1").body["days"]
        return [(one["agent"], one["wakes"]) for one in found] == [("delta", 2)]

    wait_until(counted, "both are kept")
    assert hubs[0].client(None).call("PUT", "/api/agents", roster(FLEET)).status == 200
    wait_until(lambda: statuses(hubs, "delta") == ["online"] * 2, "the budget is gone")
    stream.close()
