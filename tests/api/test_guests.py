"""Guests: nodes without a watcher, whose agents call with a token of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.hub import FLEET, HubProcess, running

if TYPE_CHECKING:
    from pathlib import Path

WITH_GUEST = {**FLEET, "laptop-anna": ("anna-claude",)}


def invited(hub: HubProcess) -> Any:
    return hub.enrol(WITH_GUEST, guests=["laptop-anna"]).body


def listed(hub: HubProcess) -> tuple[dict[str, Any], dict[str, Any]]:
    """The guest's agent and the guest, as the fleet sees them."""
    found = hub.client("n1").get("/api/agents").body
    agent = next(one for one in found["agents"] if one["name"] == "anna-claude")
    return agent, next(one for one in found["nodes"] if one["node"] == "laptop-anna")


def test_a_guest_sends_and_reads_when_it_asks(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert invited(hub)["guests_changed"] == ["laptop-anna"]
        assert invited(hub)["changed"] is False
        agent, node = listed(hub)
        assert (agent["status"], agent["problem"], agent["last_seen_at"]) == ("guest", 0, None)
        assert (node["guest"], node["connected"]) == (True, False)
        sent = hub.client("n1").send(**{"from": "alpha", "to": "anna-claude"})
        assert [one["reachability"] for one in sent["recipients"]] == ["guest"]
        anna = hub.client("laptop-anna")
        (message,) = anna.get("/api/inbox").body["messages"]
        assert anna.post("/api/ack", {"ids": [message["id"]]}).body["acked"] == [sent["id"]]
        reply = anna.send("done", to="alpha", reply_to=sent["id"])
        assert reply["thread_id"] == sent["thread_id"]
        assert listed(hub)[0]["last_seen_at"] is not None
        assert listed(hub)[0]["status"] == "guest", "neither deaf nor offline: nothing is missing"


def test_a_guest_speaks_for_its_own_agents_alone(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        invited(hub)
        anna = hub.client("laptop-anna")
        assert anna.get("/api/inbox?agent=alpha").status == 403
        refused = anna.post("/api/send", {"from": "alpha", "to": "beta", "body": "x"})
        assert refused.status == 403


def test_nothing_waits_for_the_watcher_of_a_guest(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        invited(hub)
        operator = hub.client(None)
        probed = operator.post("/api/probes", {}).body["results"]
        assert "anna-claude" not in {one["agent"] for one in probed}
        (named,) = operator.post("/api/probes", {"agents": ["anna-claude"]}).body["results"]
        assert (named["ok"], named["status"]) == (False, "guest")
        assert "it is a guest" in named["reason"]
        refused = operator.post("/api/agents/anna-claude/wake", {})
        assert (refused.status, refused.body["code"]) == (409, "no_watcher")
        assert "laptop-anna is a guest" in refused.body["detail"]


def test_a_guest_is_one_after_a_restart_until_the_roster_says_otherwise(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        invited(hub)
        hub.stop()
        hub.start()
        assert listed(hub)[0]["status"] == "guest"
        assert hub.enrol(WITH_GUEST).body["guests_changed"] == ["laptop-anna"]
        assert (listed(hub)[0]["status"], listed(hub)[1]["guest"]) == ("offline", False)


def test_a_guest_that_leaves_is_retired_and_its_token_is_void(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        invited(hub)
        assert hub.client("laptop-anna").get("/api/inbox").status == 200
        left = hub.enrol().body
        assert left["retired"] == ["anna-claude"]
        assert left["tokens_changed"] == left["guests_changed"] == ["laptop-anna"]
        assert hub.client("laptop-anna").get("/api/inbox").status == 401


def test_a_guest_needs_a_token(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        refused = hub.enrol(guests=["laptop-anna"])
        assert refused.status == 400
        assert "guests without a token: laptop-anna" in refused.body["detail"]
        twice = hub.enrol(WITH_GUEST, guests=["laptop-anna", "laptop-anna"])
        assert "named twice: laptop-anna" in twice.body["detail"]
