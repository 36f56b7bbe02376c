"""Budgets and pauses between the real hub, a real watcher and the gateway stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.integration.conftest import AGENTS
from tests.support.node_side import HubWithNodes, Node, StandinProcess, token_of, until
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS = 3_600_000


def allow(hub: HubWithNodes, **agents: dict[str, int]) -> None:
    hub.put_roster(budgets={"fleet": None, "agents": agents})


def urgent(hub: HubWithNodes, to: str) -> dict[str, Any]:
    body = {"from": "operator", "to": to, "body": "now", "priority": "urgent"}
    sent: dict[str, Any] = hub.call("POST", "/api/send", body)
    return sent


def read(hub: HubWithNodes, agent: str) -> None:
    """Do what an agent's turn does: read the mailbox, and ack."""
    page = hub.call("GET", f"/api/inbox?agent={agent}", token=token_of("n1"))
    ids = [message["id"] for message in page["messages"]]
    hub.call("POST", "/api/ack", {"agent": agent, "ids": ids}, token=token_of("n1"))


def woken(gateway: StandinProcess, agent: str, count: int) -> None:
    until(lambda: len(gateway.wakes(agent)) >= count, what=f"wake {count} of {agent}")
    assert len(gateway.wakes(agent)) == count


def state(hub: HubWithNodes, agent: str, status: str) -> None:
    until(lambda: hub.agent(agent)["status"] == status, what=f"{agent} is {status}")


def test_over_its_budget_an_agent_waits_also_over_a_restart_and_urgent_mail_passes(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    allow(hub, alpha={"per_hour": 2, "urgent_reserve": 1})
    online()
    for count in (1, 2):
        hub.send("alpha")
        woken(gateway, "alpha", count)
        until(lambda: hub.agent("alpha")["unfetched"], what="it waits")
        read(hub, "alpha")
    state(hub, "alpha", "budget")
    hub.process.stop()
    hub.start()
    state(hub, "alpha", "budget")
    assert hub.send("alpha")["recipients"][0]["reachability"] == "budget"
    hub.send("beta")
    woken(gateway, "beta", 1)
    assert len(gateway.wakes("alpha")) == 2
    urgent(hub, "alpha")
    woken(gateway, "alpha", 3)
    state(hub, "alpha", "budget")
    read(hub, "alpha")
    urgent(hub, "alpha")
    read(hub, "beta")
    hub.send("beta")
    woken(gateway, "beta", 2)
    assert len(gateway.wakes("alpha")) == 3, "the reserve is spent"
    allow(hub)
    woken(gateway, "alpha", 4)


def test_what_waits_goes_out_by_itself_when_the_window_frees_a_wake(
    hub: HubWithNodes, gateway: StandinProcess, online: Callable[[], None]
) -> None:
    allow(hub, alpha={"per_hour": 1})
    online()
    left_ms = int(patience(6) * 1000)
    old = {"agent": "alpha", "event": "accepted", "age_ms": HOUR_MS - left_ms, "up_to_seq": 1}
    hub.call("POST", "/api/wakes", {"reports": [old]}, token=token_of("n1"))
    state(hub, "alpha", "budget")
    sent = hub.send("alpha")
    assert sent["recipients"][0]["reachability"] == "budget"
    woken(gateway, "alpha", 1)
    state(hub, "alpha", "budget")


def test_a_paused_fleet_is_woken_once_it_is_resumed(
    hub: HubWithNodes, gateway: StandinProcess, node: Node
) -> None:
    hub.call("POST", "/api/pauses", {"who": "all"})
    hub.process.stop()
    hub.start()
    node.start()
    state(hub, "alpha", "paused")
    for agent in AGENTS:
        urgent(hub, agent)
    hub.call("POST", "/api/pauses", {"who": "beta"})
    hub.call("POST", "/api/pauses/end", {"who": "all"})
    woken(gateway, "alpha", 1)
    assert not gateway.wakes("beta")
    hub.call("POST", "/api/pauses/end", {"who": "beta"})
    woken(gateway, "beta", 1)
