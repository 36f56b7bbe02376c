"""Who may write to whom, as the hub holds senders to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import FLEET, Client, digest, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub import HubProcess, Reply

GROUPS = {"team": ["alpha", "beta", "gamma"]}
HOME = {agent: node for node, agents in FLEET.items() for agent in agents}


@pytest.fixture(autouse=True)
def free_again(hub: HubProcess) -> Iterator[None]:
    yield
    assert hub.enrol().status == 200


def ruled(hub: HubProcess, *rules: dict[str, Any]) -> Any:
    answer = hub.enrol(groups=GROUPS, rights=list(rules))
    assert answer.status == 200, answer.body
    return answer.body


def rule(senders: list[str], to: list[str], **more: str) -> dict[str, Any]:
    return {"from": senders, "to": to, **more}


def post(hub: HubProcess, sender: str, **fields: Any) -> Reply:
    body = {"from": sender, "body": "x", **fields}
    return hub.client(HOME[sender]).post("/api/send", body)


def names(found: list[dict[str, Any]]) -> list[str]:
    return [one.get("name", one.get("agent", "")) for one in found]


def test_a_refusal_names_sender_recipient_and_rule_and_says_what_to_do(hub: HubProcess) -> None:
    ruled(hub, rule(["all"], ["all"], name="open"), rule(["gamma"], ["delta"]))
    assert post(hub, "gamma", to="alpha").status == 201, "one of its rules lets it"
    ruled(hub, rule(["gamma"], ["delta"], name="narrow"), rule(["@team"], ["beta"]))
    refused = post(hub, "gamma", to="alpha")
    assert (refused.status, refused.body["code"]) == (403, "not_allowed")
    assert refused.body["field"] == "to"
    assert refused.body["sender"] == "gamma"
    assert refused.body["recipients"] == ["alpha"]
    assert refused.body["rules"] == ["rule 1 (narrow)", "rule 2"]
    assert "gamma may not write to alpha: rule 1 (narrow), rule 2" in refused.body["detail"]
    assert "/api/agents?from=gamma" in refused.body["detail"]
    for allowed in ("delta", "beta", "gamma", "operator"):
        assert post(hub, "gamma", to=allowed).status == 201, allowed


@pytest.mark.parametrize("sender", sorted(HOME))
def test_each_agent_reaches_whom_the_rules_say(hub: HubProcess, sender: str) -> None:
    ruled(
        hub,
        rule(["all"], []),
        rule(["@team"], ["@team"]),
        rule(["delta"], ["alpha"]),
        rule(["alpha"], ["delta"]),
    )
    allowed = {
        "alpha": {"alpha", "beta", "gamma", "delta"},
        "beta": {"alpha", "beta", "gamma"},
        "gamma": {"alpha", "beta", "gamma"},
        "delta": {"alpha", "delta"},
    }[sender]
    statuses = {to: post(hub, sender, to=to).status for to in HOME}
    assert statuses == {to: 201 if to in allowed else 403 for to in HOME}


def test_one_name_that_is_not_allowed_refuses_the_whole_list(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["delta"]))
    client = hub.client("n2")
    head = client.get("/api/stats").body["messages"]["head"]
    refused = post(hub, "gamma", to=["delta", "alpha", "beta"])
    assert (refused.status, refused.body["recipients"]) == (403, ["alpha", "beta"])
    assert client.get("/api/stats").body["messages"]["head"] == head


def test_groups_and_broadcasts_leave_out_whom_the_sender_may_not_write_to(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["beta", "delta"]))
    group = post(hub, "gamma", to="@team").body
    assert (names(group["recipients"]), group["skipped"]) == (["beta"], ["alpha"])
    everybody = post(hub, "gamma").body
    assert names(everybody["recipients"]) == ["beta", "delta"]
    assert everybody["skipped"] == ["alpha"]
    assert "skipped" not in post(hub, "alpha").body
    ruled(hub, rule(["gamma"], []))
    for to in ({"to": "@team"}, {}):
        refused = post(hub, "gamma", **to)
        assert (refused.status, refused.body["code"]) == (403, "not_allowed")


def test_a_reply_to_one_whom_the_sender_may_not_write_to_is_refused(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["delta"]))
    asked = post(hub, "alpha", to="gamma").body
    refused = post(hub, "gamma", to="alpha", reply_to=asked["id"])
    assert (refused.status, refused.body["code"]) == (403, "not_allowed")
    assert "alpha may write to gamma, but not the other way round" in refused.body["detail"]
    noted = post(hub, "gamma", to="operator", reply_to=asked["id"])
    assert noted.body["thread_id"] == asked["thread_id"]


def test_the_operator_writes_to_all_whatever_the_rules_say(hub: HubProcess) -> None:
    ruled(hub, rule(["all"], []))
    sent = hub.client(None).send()
    assert names(sent["recipients"]) == sorted(HOME)


def test_a_key_that_was_used_before_the_rule_came_answers_the_first_result(
    hub: HubProcess,
) -> None:
    client = hub.client("n2")
    body = {"from": "gamma", "to": "alpha", "body": "once"}
    first = client.post("/api/send", body, Idempotency_Key="before-the-rule")
    ruled(hub, rule(["gamma"], []))
    again = client.post("/api/send", body, Idempotency_Key="before-the-rule")
    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert client.post("/api/send", body, Idempotency_Key="after-it").status == 403


def test_rules_outlive_a_restart_and_go_when_the_roster_has_none(tmp_path: Path) -> None:
    with running(tmp_path) as hub:
        assert ruled(hub, rule(["gamma"], []))["policies_changed"] == ["rights"]
        assert ruled(hub, rule(["gamma"], []))["changed"] is False
        hub.stop()
        hub.start()
        assert post(hub, "gamma", to="alpha").status == 403
        assert hub.enrol().body["policies_changed"] == ["rights"]
        assert post(hub, "gamma", to="alpha").status == 201


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (rule(["gama"], []), "rule 1 names gama"),
        (rule(["gamma"], ["@tea"]), "rule 1 names @tea"),
        (rule(["bus"], []), "rule 1 names bus"),
        (rule(["operator"], []), "operator, who may write to all"),
        (rule([], ["all"]), "rights.0.from"),
        ({"from": ["gamma"]}, "rights.0.to"),
        ({"from": ["Gamma!"], "to": []}, "rights.0.from.0"),
    ],
)
def test_rules_about_nobody_are_refused(
    hub: HubProcess, wrong: dict[str, Any], words: str
) -> None:
    refused = hub.enrol(groups=GROUPS, rights=[wrong])
    assert (refused.status, refused.body["code"]) == (400, "invalid_request")
    assert words in refused.body["detail"]


def test_a_rule_may_name_the_operator_as_the_only_one_to_write_to(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["operator"]))
    assert post(hub, "gamma", to="operator").status == 201
    assert post(hub, "gamma", to="alpha").status == 403


def test_the_list_of_agents_shows_only_whom_its_reader_may_write_to(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["delta"]), rule(["beta"], ["gamma"]))

    def seen(node: str | None, query: str = "") -> Any:
        answer = hub.client(node).get(f"/api/agents{query}")
        assert answer.status == 200, answer.body
        return answer.body

    assert names(seen("n2")["agents"]) == ["delta", "gamma"]
    assert seen("n2")["groups"] == {"team": ["gamma"]}
    nodes = {row["node"]: row["agents"] for row in seen("n2")["nodes"]}
    assert nodes == {"n1": [], "n2": ["gamma"], "n3": ["delta"]}, "a rollout asks for all nodes"
    everybody = sorted(HOME)
    assert names(seen("n1")["agents"]) == everybody, "alpha may write to all"
    assert names(seen("n1", "?from=alpha")["agents"]) == everybody
    assert names(seen("n1", "?from=beta")["agents"]) == ["beta", "gamma"]
    assert names(seen(None)["agents"]) == everybody
    assert names(seen(None, "?from=gamma")["agents"]) == ["delta", "gamma"]
    assert hub.client("n1").get("/api/agents?from=gamma").status == 403
    assert hub.client(None).get("/api/agents?from=gama").body["closest"] == ["gamma"]


def test_the_operator_can_ask_who_may_write_to_whom(hub: HubProcess) -> None:
    ruled(hub, rule(["gamma"], ["delta"], name="narrow"), rule(["@team"], ["beta"]))
    said = hub.client(None).get("/api/rights").body
    assert said["rules"] == [
        {"number": 1, "name": "narrow", "from": ["gamma"], "to": ["delta"]},
        {"number": 2, "name": None, "from": ["@team"], "to": ["beta"]},
    ]
    by_agent = {row["agent"]: (row["to"], row["rules"]) for row in said["agents"]}
    assert by_agent == {
        "alpha": (["beta"], [2]),
        "beta": ([], [2]),
        "gamma": (["beta", "delta"], [1, 2]),
        "delta": (None, []),
    }
    (one,) = hub.client(None).get("/api/rights?agent=gamma").body["agents"]
    assert one["agent"] == "gamma"
    assert hub.client("n2").get("/api/rights").status == 403


def test_what_was_sent_before_a_rule_is_still_read_and_acked(hub: HubProcess) -> None:
    sent = post(hub, "gamma", to="alpha").body
    ruled(hub, rule(["gamma"], []))
    alpha = hub.client("n1")
    wait_until(lambda: sent["id"] in str(alpha.get("/api/inbox?agent=alpha&limit=500").body))
    acked = alpha.post("/api/ack", {"agent": "alpha", "ids": [sent["id"]]})
    assert acked.body["acked"] == [sent["id"]]
    assert hub.client("n2").get(f"/api/messages/{sent['id']}").status == 200


def test_a_token_of_an_agents_own_is_shown_what_that_agent_may_write_to(hub: HubProcess) -> None:
    tokens = [{"agent": "beta", "sha256": [digest("own-beta")]}]
    rules = [rule(["alpha"], ["gamma"]), rule(["beta"], ["delta"])]
    assert hub.enrol(agent_tokens=tokens, rights=rules).status == 200
    own = Client(hub.port, "own-beta")
    hub.opened.append(own)
    assert names(own.get("/api/agents").body["agents"]) == ["beta", "delta"]
    assert names(own.get("/api/agents?from=beta").body["agents"]) == ["beta", "delta"]
    assert own.get("/api/agents?from=alpha").status == 403
    of_node = names(hub.client("n1").get("/api/agents").body["agents"])
    assert of_node == ["alpha", "beta", "gamma"], "whom alpha may write to, and whom it wakes"
    assert own.post("/api/send", {"to": "gamma", "body": "x"}).status == 403
    assert own.post("/api/send", {"to": "delta", "body": "x"}).status == 201


def test_a_sender_has_urgent_mail_climb_only_to_those_whom_it_may_write_to(
    hub: HubProcess,
) -> None:
    def urgent(to: str, **headers: str) -> Reply:
        body = {"to": "delta", "body": "x", "priority": "urgent", "data": {"escalate": {"to": to}}}
        return hub.client("n2").post("/api/send", body, **headers)

    first = urgent("@team", Idempotency_Key="climbs")
    assert first.status == 404, "there is no such group yet"
    ruled(hub, rule(["gamma"], ["beta", "delta"]))
    assert urgent("beta").status == 201
    for to in ("alpha", "@team"):
        refused = urgent(to)
        assert (refused.status, refused.body["code"]) == (403, "not_allowed")
        assert (refused.body["recipients"], refused.body["field"]) == (
            ["alpha"],
            "data.escalate.to",
        )
    ruled(hub)
    first = urgent("@team", Idempotency_Key="climbs")
    ruled(hub, rule(["gamma"], ["beta", "delta"]))
    assert urgent("@team", Idempotency_Key="climbs").body["id"] == first.body["id"]
