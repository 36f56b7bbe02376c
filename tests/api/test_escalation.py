"""The ladder of urgent mail by the API: rules with the roster, steps, timeline.

Each test names another target: one gets a notice per minute.
"""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.hub import ADMIN
from tests.support.hubs import log_in
from tests.support.ladders import age, rules, steps, wait_for_steps
from tests.support.patience import patience

if TYPE_CHECKING:
    from tests.support.hub import HubProcess

TO_DELTA = [{"after_min": 10, "to": "delta"}]


def urgent(hub: HubProcess, body: str = "help", **more: Any) -> str:
    fields = {"from": "alpha", "to": "gamma", "priority": "urgent", **more}
    sent: str = hub.client("n1").send(body, **fields)["id"]
    return sent


def notices(hub: HubProcess, node: str | None, agent: str) -> list[dict[str, Any]]:
    page = hub.client(node).get(f"/api/inbox?agent={agent}&limit=100").body["messages"]
    return [m for m in page if m["from_agent"] == "bus"]


def shown(hub: HubProcess, path: str) -> str:
    """A page of the dashboard, for the operator."""
    cookie = log_in(hub, ADMIN)[1]
    name = f"agent_bus_session_{hub.port}"
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=patience())
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Cookie": f"{name}={cookie}"})
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status == 200, text
    return text


def test_rules_of_the_inventory_lead_up_the_ladder(hub: HubProcess) -> None:
    with rules(hub, {"agents": {"gamma": TO_DELTA}}):
        message = urgent(hub, "db is down", subject="db")
        assert steps(hub, message) == []
        age(hub, message, minutes=10)
        (step,) = wait_for_steps(hub, message, "delta")
        told = notices(hub, "n3", "delta")[-1]
        assert told["id"] == step["notice_id"]
        assert (told["priority"], told["subject"]) == ("urgent", "Unread by gamma: db")
        assert "> db is down" in told["body"]
        age(hub, message, minutes=10)
        wait_for_steps(hub, message, "delta", "operator")
        assert notices(hub, None, "operator")
        (seen,) = hub.client("n1").get(f"/api/messages/{message}").body["deliveries"]
        assert [one["to"] for one in seen["ladder"]] == ["delta", "operator"]
        page = shown(hub, f"/messages/{message}")
        assert "Told because it stays unread: <b>delta</b>" in page
        assert f'href="/messages/{step["notice_id"]}"' in page


def test_a_sender_names_a_step_with_its_message(hub: HubProcess) -> None:
    named = {"escalate": {"to": "beta", "after_min": 5}}
    message = urgent(hub, data=named)
    age(hub, message, minutes=5)
    wait_for_steps(hub, message, "beta")


def test_what_was_read_is_told_to_nobody(hub: HubProcess) -> None:
    message = urgent(hub, data={"escalate": {"to": "alpha"}})
    other = urgent(hub, data={"escalate": {"to": "alpha"}})
    age(hub, message, minutes=9)
    hub.client("n2").post("/api/ack", {"agent": "gamma", "ids": [message]})
    age(hub, message, minutes=60)
    age(hub, other, minutes=15)
    wait_for_steps(hub, other, "alpha")
    assert steps(hub, message) == []


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"priority": "high"}, 400, "invalid_request", "priority"),
        ({"data": {"escalate": {"to": "x!"}}}, 400, "invalid_request", "data.escalate.to"),
        ({"data": {"escalate": {"to": "nobody"}}}, 404, "unknown_agent", "data.escalate.to"),
        ({"data": {"escalate": {"to": "@none"}}}, 404, "unknown_agent", "data.escalate.to"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_taken_is_refused(
    hub: HubProcess, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    body = {
        "from": "alpha", "to": "gamma", "body": "x", "priority": "urgent",
        "data": {"escalate": {"to": "delta"}}, **fields,
    }  # fmt: skip
    refused = hub.client("n1").post("/api/send", body)
    assert (refused.status, refused.body["code"]) == (status, code)
    assert refused.body["field"] == field


def test_a_sender_names_only_whom_it_may_write_to(hub: HubProcess) -> None:
    shy = [{"from": ["alpha"], "to": ["gamma"]}]
    with rules(hub, {}, rights=shy):
        body = {
            "from": "alpha", "to": "gamma", "body": "x", "priority": "urgent",
            "data": {"escalate": {"to": "delta"}},
        }  # fmt: skip
        refused = hub.client("n1").post("/api/send", body)
        assert (refused.status, refused.body["code"]) == (403, "not_allowed")


@pytest.mark.parametrize(
    "said",
    [
        {"default": [{"after_min": 0, "to": "delta"}]},
        {"default": [{"after_min": 5, "to": "nobody"}]},
        {"agents": {"nobody": []}},
        {"groups": {"none": []}},
        {"defaults": []},
    ],
)
def test_rules_that_make_no_sense_are_refused_with_the_roster(
    hub: HubProcess, said: dict[str, Any]
) -> None:
    assert hub.enrol(escalation=said).status == 400
