"""Pauses, wake budgets and the count of wakes, through the API and the operator's tool."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.support.hub import ADMIN, FLEET, REPOSITORY, HubProcess, roster, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hub import Client

GROUPS = {"greeks": ["alpha", "beta"]}


def admin(hub: HubProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The operator's tool, run on the hub."""
    token = hub.folder / "admin.token"
    token.write_text(ADMIN + "\n")
    options = ["--config", str(hub.folder / "hub.json"), "--token-file", str(token)]
    return subprocess.run(
        [sys.executable, "-m", "agent_bus", "admin", *options, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "files")},
        capture_output=True,
        text=True,
        timeout=patience(),
        check=False,
    )


def put(hub: HubProcess, budgets: dict[str, Any] | None) -> None:
    body = {**roster(FLEET), "groups": GROUPS, "budgets": budgets}
    assert hub.client(None).call("PUT", "/api/agents", body).status == 200


def report(client: Client, seq: int, event: str = "accepted", **more: Any) -> None:
    """A watcher says what became of a wake of delta."""
    one = {"agent": "delta", "event": event, "age_ms": 0, "up_to_seq": seq, **more}
    assert client.post("/api/wakes", {"reports": [one]}).status == 204


def status(hub: HubProcess, name: str) -> Any:
    listed = hub.client(None).get("/api/agents").body["agents"]
    return next(agent["status"] for agent in listed if agent["name"] == name)


def pauses(hub: HubProcess) -> list[str]:
    return [one["who"] for one in hub.client(None).get("/api/pauses").body["pauses"]]


def test_a_pause_is_told_to_watchers_senders_and_survives_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        hub.enrol(groups=GROUPS)
        made = hub.client(None).post("/api/pauses", {"who": "delta", "note": "new model"}).body
        assert (made["agents"], made["until"], made["note"]) == (["delta"], None, "new model")
        stream = hub.stream("n3", "role=watcher")
        (box,) = stream.of_type("hello").data["mailboxes"]
        assert (box["held"], box["muted_until"] is None) == ("paused", False)
        sent = hub.client("n2").send(to="delta", priority="urgent")
        assert sent["recipients"][0]["reachability"] == status(hub, "delta") == "paused"
        hub.stop()
    with running(tmp_path) as hub:
        assert pauses(hub) == ["delta"]
        stream = hub.stream("n3", "role=watcher")
        assert stream.of_type("hello").data["mailboxes"][0]["held"] == "paused"
        ended = hub.client(None).post("/api/pauses/end", {"who": "delta"}).body
        assert ended == {"who": "delta", "ended": True, "held": []}
        told = stream.of_type("mailbox").data
        assert (told["held"], told["unfetched"]) == (None, 1)


def test_a_roster_that_loses_a_paused_group_is_refused_unless_it_is_forced(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        hub.enrol(groups=GROUPS)
        group = next(iter(GROUPS))
        assert hub.client(None).post("/api/pauses", {"who": f"@{group}"}).status == 200
        refused = hub.enrol(groups={"renamed": GROUPS[group]})
        assert (refused.status, refused.body["field"]) == (400, "groups")
        assert f"agent-bus-admin resume @{group}" in refused.body["detail"]
        assert hub.enrol(groups={"renamed": GROUPS[group]}, force=True).status == 200


def test_what_else_holds_an_agent_is_told_when_its_pause_ends(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        hub.enrol(groups=GROUPS)
        client = hub.client(None)
        client.post("/api/pauses", {"who": "@greeks"})
        client.post("/api/pauses", {"who": "all", "for_s": 600})
        ended = client.post("/api/pauses/end", {"who": "alpha"}).body
        assert ended["ended"] is False
        assert [(one["agent"], one["reason"]) for one in ended["held"]] == [("alpha", "paused")]
        assert client.post("/api/pauses", {"who": "@nobody"}).status == 404
        assert client.post("/api/pauses", {"who": "operator"}).status == 400
        assert hub.client("n1").post("/api/pauses", {"who": "all"}).status == 403


def test_a_spent_budget_holds_and_urgent_mail_passes_by_the_reserve(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        put(hub, {"agents": {"delta": {"per_hour": 2, "urgent_reserve": 1}}})
        sender, watcher = hub.client("n2"), hub.client("n3")
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        for number in range(2):
            seq = sender.send(to="delta")["recipients"][0]["seq"]
            assert status(hub, "delta") == "online"
            report(watcher, seq, ("accepted", "escalated")[number])
        assert status(hub, "delta") == "budget"
        sent = sender.send(to="delta")["recipients"][0]
        assert sent["reachability"] == "budget"
        (held,) = hub.client(None).get("/api/pauses").body["held"]
        assert (held["agent"], held["reason"]) == ("delta", "budget")
        urgent = sender.send(to="delta", priority="urgent")["recipients"][0]
        assert status(hub, "delta") == "online"
        report(watcher, urgent["seq"])
        assert status(hub, "delta") == "budget"
        sender.send(to="delta", priority="urgent")
        assert status(hub, "delta") == "budget", "the reserve is spent"
        put(hub, None)
        assert status(hub, "delta") == "online"


def test_a_restart_gives_no_new_budget(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        put(hub, {"fleet": {"per_day": 1}})
        seq = hub.client("n2").send(to="delta")["recipients"][0]["seq"]
        report(hub.client("n3"), seq)
        hub.stop()
    with running(tmp_path) as hub:
        put(hub, {"fleet": {"per_day": 1}})
        hub.stream("n3", "role=watcher").of_type("hello")
        assert status(hub, "delta") == "budget"


def test_wakes_are_shown_by_agent_and_day_with_who_caused_them(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        put(hub, {"fleet": {"per_hour": 50, "per_day": 100}, "groups": {"greeks": {"per_day": 9}}})
        watcher = hub.client("n3")
        for _ in range(2):
            seq = hub.client("n2").send(to="delta")["recipients"][0]["seq"]
            report(watcher, seq)
            report(watcher, seq, "coalesced")
        report(watcher, seq, "accepted", reason="reminder")
        found: dict[str, Any] = {}

        def counted() -> bool:
            found.update(hub.client(None).get("/api/wakes?days=1").body)
            return [one["wakes"] for one in found["days"]] == [3]

        wait_until(counted)
        (day,) = found["days"]
        assert (day["agent"], day["wakes"], day["reminders"]) == ("delta", 3, 1)
        assert found["causes"] == [{"sender": "gamma", "agent": "delta", "wakes": 3}]
        assert [(one["who"], one["day"]) for one in found["budgets"]] == [
            ("all", 3),
            ("@greeks", 0),
        ]


def test_the_admin_tool_pauses_resumes_and_lists(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        put(hub, {"agents": {"delta": {"per_day": 0}}})
        said = admin(hub, "pause", "@greeks", "--for", "600", "--note", "new model").stdout
        assert said.startswith("@greeks is paused since ")
        assert said.endswith("2 agents: new model\n")
        assert "all is paused" in admin(hub, "pause", "--fleet").stdout
        listed = admin(hub, "pauses").stdout.splitlines()
        assert [line.split()[0] for line in listed] == ["all", "@greeks"]
        assert "all is paused" in admin(hub, "status").stdout
        resumed = admin(hub, "resume", "@greeks").stdout.splitlines()
        assert resumed[0] == "@greeks is no longer paused"
        assert resumed[1].startswith("alpha is still paused")
        assert admin(hub, "resume", "--fleet").returncode == 0
        assert admin(hub, "resume", "alpha").stdout == "alpha was not paused\n"
        assert "delta is over its wake budget until " in admin(hub, "pauses").stdout
        shown = admin(hub, "wakes").stdout
        assert "0 of 0" in shown
        assert json.loads(admin(hub, "--json", "wakes", "--days", "30").stdout)["days"] == []
        assert admin(hub, "pause").returncode == 2
