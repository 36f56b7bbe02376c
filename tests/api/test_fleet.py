"""Roster, presence, wakes and probes: what the operator and the watchers say and see."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tests.support.hub import FLEET, HubProcess, digest, roster, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def status_of(hub: HubProcess, agent: str) -> str:
    listed = hub.client("n1").get("/api/agents").body["agents"]
    return str(next(a["status"] for a in listed if a["name"] == agent))


def presence(**gateways: str) -> dict[str, Any]:
    agents = [{"name": name, "gateway": state} for name, state in gateways.items()]
    return {"node_version": "0.1.0-test", "agents": agents}


def test_a_roster_is_idempotent_and_says_what_it_changes(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path)
    hub.start()
    try:
        dry = hub.client(None).call("PUT", "/api/agents?dry_run=1", roster(FLEET)).body
        first = hub.enrol().body
        again = hub.enrol().body
        assert dry == first
        assert first["changed"] is True
        assert first["registered"] == ["alpha", "beta", "delta", "gamma"]
        assert first["tokens_changed"] == ["n1", "n2", "n3"]
        assert again["changed"] is False
    finally:
        hub.hang_up()
        hub.kill()


def test_a_retired_agent_gets_no_mail_keeps_its_own_and_may_come_back(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        kept = hub.client("n1").send(**{"from": "alpha", "to": "delta"})["id"]
        without = {"n1": FLEET["n1"], "n2": FLEET["n2"], "n3": ()}
        assert hub.enrol(without).body["retired"] == ["delta"]
        fields = {"from": "alpha", "to": "delta", "body": "x"}
        refused = hub.client("n1").post("/api/send", fields)
        assert (refused.status, refused.body["code"]) == (409, "agent_retired")
        assert status_of(hub, "delta") == "retired"
        everybody = hub.client("n1").send(**{"from": "alpha"})
        assert [r["agent"] for r in everybody["recipients"]] == ["beta", "gamma"]
        assert hub.enrol().body["revived"] == ["delta"]
        assert [m["id"] for m in hub.client("n3").get("/api/inbox").body["messages"]] == [kept]


def test_half_a_roster_by_mistake_is_refused_unless_forced(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        refused = hub.enrol({"n1": ("alpha",), "n2": (), "n3": ()})
        assert (refused.status, refused.body["code"]) == (409, "roster_shrinks")
        assert refused.body["retired"] == ["beta", "delta", "gamma"]
        assert hub.enrol({"n1": ("alpha",), "n2": (), "n3": ()}, force=True).status == 200


def test_a_roster_that_contradicts_itself_is_refused(hub: HubProcess) -> None:
    twice = hub.enrol({"n1": ("alpha",), "n2": ("alpha",)})
    lost = hub.enrol(groups={"g": ["nobody"]})
    reserved = hub.enrol({"n1": ("operator",)})
    one = {"node": "n1", "sha256": ["1" * 64]}
    shared = hub.enrol(tokens=[one, {**one, "node": "n2"}])
    again = hub.enrol(tokens=[one, {**one, "sha256": ["2" * 64]}])
    for refused, word in (
        (twice, "alpha"),
        (lost, "nobody"),
        (reserved, "reserved"),
        (shared, "1" * 64),
        (again, "n1"),
    ):
        assert refused.status == 400
        assert word in refused.body["detail"]


def test_the_largest_fleet_is_taken_and_from_the_operator_only(tmp_path: Path) -> None:
    fleet = {f"host-{n:04}": tuple(f"agent-{n:04}-{m}" for m in range(5)) for n in range(1000)}
    largest = roster(fleet, force=True)
    for node in largest["tokens"]:
        node["sha256"].append(digest(f"next-{node['node']}"))
    with running(tmp_path) as hub:
        for token in ("n1", "nobody"):
            client = hub.client(token)
            refused = client.call("PUT", "/api/agents", largest)
            assert refused.status == (413 if token == "n1" else 401)
        taken = hub.client(None).call("PUT", "/api/agents", largest)
        assert (taken.status, len(taken.body["registered"])) == (200, 5000)
        assert hub.client("host-0999").get("/api/inbox?agent=agent-0999-4").status == 200
        too_large = hub.client(None).call("PUT", "/api/agents", b" " * (2 * 1024 * 1024 + 1))
        assert (too_large.status, too_large.body["limit_bytes"]) == (413, 2 * 1024 * 1024)
        sent = {"body": "x" * 70_000, "to": "agent-0000-0"}
        for sender in ("host-0999", None):
            assert hub.client(sender).post("/api/send", sent).status == 413


def test_the_five_states_of_an_agent(tmp_path: Path) -> None:
    with running(tmp_path, keepalive_s=0.1) as hub:
        assert status_of(hub, "gamma") == "offline"
        hub.client("n2").get("/api/inbox")
        assert status_of(hub, "gamma") == "deaf"
        stream = hub.stream("n2", "role=watcher")
        stream.of_type("hello")
        assert status_of(hub, "gamma") == "online"
        hub.client("n2").post("/api/presence", presence(gamma="down"))
        assert status_of(hub, "gamma") == "gateway-down"
        hub.client("n2").post("/api/presence", presence(gamma="ok"))
        assert status_of(hub, "gamma") == "online"
        node = next(
            n for n in hub.client("n1").get("/api/agents").body["nodes"] if n["node"] == "n2"
        )
        assert node["watcher_version"] == "0.1.0-test"
        hub.stream("n2", "role=watcher").close()  # it ends the first one and leaves itself
        assert stream.of_type("bye").data["reason"] == "superseded"
        wait_until(lambda: status_of(hub, "gamma") == "deaf")  # a keepalive finds it gone
        hub.enrol({"n1": FLEET["n1"], "n2": (), "n3": FLEET["n3"]})
        assert status_of(hub, "gamma") == "retired"


def test_a_lease_that_is_not_renewed_lapses_though_its_stream_is_open(tmp_path: Path) -> None:
    with running(tmp_path, lease_s=0.5, offline_after_s=1, keepalive_s=0.1) as hub:
        stream = hub.stream("n2", "role=watcher")
        stream.of_type("hello")
        wait_until(lambda: status_of(hub, "gamma") == "offline")
        hub.client("n1").send("still there", **{"from": "alpha", "to": "gamma"})
        assert stream.of_type("message").data["body"] == "still there"


def test_a_plain_reader_does_not_look_like_a_watcher(hub: HubProcess) -> None:
    stream = hub.stream("n2")
    stream.of_type("hello")
    assert status_of(hub, "gamma") != "online"


def test_reports_become_the_timeline_of_each_delivery(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")
        sent = hub.client("n2").send(to="delta")
        seq = stream.of_type("message").data["seq"]
        reports = [
            {"agent": "delta", "event": "received", "age_ms": 20, "up_to_seq": seq},
            {"agent": "delta", "event": "failed", "up_to_seq": seq, "reason": "refused"},
            {"agent": "delta", "event": "accepted", "up_to_seq": seq, "duration_ms": 3.5},
        ]
        assert hub.client("n3").post("/api/wakes", {"reports": reports}).status == 204

        def timeline() -> Any:
            found = hub.client("n2").get(f"/api/messages/{sent['id']}").body["deliveries"][0]
            return found if found["accepted_at"] else None

        hops = wait_until(timeline)
        assert hops["pushed_at"]
        assert hops["received_at"] <= hops["accepted_at"]
        assert hops["wake_failure"] == "refused"
        assert hops["fetched_at"] is None


def test_a_report_reaches_a_message_that_was_read_before_it_came(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sent = hub.client("n2").send(to="delta")
        hub.client("n3").post("/api/ack", {"ids": [sent["id"]]})
        report = {"agent": "delta", "event": "accepted", "up_to_seq": 1}
        hub.client("n3").post("/api/wakes", {"reports": [report]})
        path = f"/api/messages/{sent['id']}"
        wait_until(lambda: hub.client("n2").get(path).body["deliveries"][0]["accepted_at"])


def test_a_node_cannot_report_for_anothers_agents(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sent = hub.client("n2").send(to="delta")
        report = {"agent": "delta", "event": "accepted", "up_to_seq": 1}
        hub.client("n1").post("/api/wakes", {"reports": [report]})
        own = {"agent": "delta", "event": "received", "up_to_seq": 1}
        hub.client("n3").post("/api/wakes", {"reports": [own]})
        path = f"/api/messages/{sent['id']}"
        wait_until(lambda: hub.client("n2").get(path).body["deliveries"][0]["received_at"])
        assert hub.client("n2").get(path).body["deliveries"][0]["accepted_at"] is None


def test_a_probe_asks_the_watchers_and_names_who_did_not_answer(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n3", "role=watcher")
        stream.of_type("hello")

        def answer() -> None:
            probe = stream.of_type("probe").data
            report = {
                "agent": "delta", "event": "probed", "probe_id": probe["probe_id"],
                "duration_ms": 1.5,
            }  # fmt: skip
            hub.client("n3").post("/api/wakes", {"reports": [report]})

        watcher = threading.Thread(target=answer)
        watcher.start()
        found = hub.client(None).post("/api/probes", {"agents": ["delta", "gamma"]}).body
        watcher.join()
        delta, gamma = found["results"]
        assert delta["ok"] is True
        assert delta["gateway_ms"] == 1.5
        assert delta["status"] == "online"
        assert gamma["ok"] is False
        assert "no watcher" in gamma["reason"]


def test_counters_and_roster_survive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        sent = hub.client("n2").send(to="delta")
        hub.hang_up()
        assert hub.stop() == 0
        hub.start()
        inbox = hub.client("n3").get("/api/inbox").body
        assert [m["id"] for m in inbox["messages"]] == [sent["id"]]
        assert inbox["unread"] == 1


def test_stats_tell_depth_and_age_of_what_is_unread(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        client = hub.client("n2")
        assert client.get("/api/stats").body["messages"]["oldest_unread_at"] is None
        first, second = (client.send(to=to) for to in ("alpha", "delta"))
        told = client.get("/api/stats").body["messages"]
        assert told["oldest_unread_at"] == first["created_at"]
        assert (told["unread"], told["unfetched"], told["head"]) == (2, 2, 2)
        hub.client("n1").post("/api/ack", {"agent": "alpha", "ids": [first["id"]]})
        told = client.get("/api/stats").body["messages"]
        assert told["oldest_unread_at"] == second["created_at"]


def test_stats_tell_the_durability_contract(hub: HubProcess) -> None:
    database = hub.client("n1").get("/api/stats").body["database"]
    on_sqlite = {"journal_mode": "wal", "synchronous": "full", "auto_vacuum": "incremental"}
    on_postgres = {"synchronous_commit": "on", "fsync": "off"}  # as tests run it
    told = on_sqlite if hub.store == "sqlite" else on_postgres
    assert {name: database.get(name) for name in told} == told


def test_what_a_watcher_has_learned_of_its_gateway_is_shown(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        stream = hub.stream("n1", "role=watcher")
        nodes = {"unknown": None, "follow-up": {"gateway_kind": "follow-up"}}
        for kind, more in nodes.items():
            hub.client("n1").post("/api/presence", {**presence(alpha="ok"), **(more or {})})
            (node,) = [
                n for n in hub.client(None).get("/api/agents").body["nodes"] if n["node"] == "n1"
            ]
            assert node["gateway_kind"] == kind
        wrong = {**presence(alpha="ok"), "gateway_kind": "bogus"}
        assert hub.client("n1").post("/api/presence", wrong).status == 400
        stream.close()


def test_any_token_learns_which_hubs_there_are(hub: HubProcess, tmp_path: Path) -> None:
    (only,) = hub.client("n1").get("/api/hubs").body["hubs"]
    assert (only["ready"], only["answers"]) == (True, True)
    assert only["url"] == f"http://127.0.0.1:{hub.port}"
    assert hub.client("nobody").get("/api/hubs").status == 401
    hubs = [{"name": name, "url": f"http://{name}:8091"} for name in ("t440", "nuc")]
    with running(tmp_path, name="nuc", hubs=hubs) as one:
        found = one.client("n1").get("/api/hubs").body["hubs"]
    assert [(each["name"], each["url"], each["ready"]) for each in found] == [
        ("nuc", "http://nuc:8091", True),
        ("t440", "http://t440:8091", None),
    ]
