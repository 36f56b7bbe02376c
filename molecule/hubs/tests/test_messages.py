"""Any hub takes any call: what is put in at one reaches agents whose watchers are at another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from lab.probe.hub import LabHub
from lab.probe.running import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.probe.running import RunningFleet

Hubs = dict[str, LabHub]


def homes(hub: LabHub) -> dict[str, Any]:
    """Return where a hub has each agent."""
    return {agent["name"]: agent["node"] for agent in hub.get("/api/agents")["agents"]}


def sees_all(hub: LabHub, wanted: Sequence[str]) -> bool:
    """Tell whether a hub sees the watcher of each node, at whatever hub it is."""
    nodes = hub.get("/api/agents")["nodes"]
    return {node["node"] for node in nodes if node["connected"]} == set(wanted)


def is_fetched(hub: LabHub, message: str) -> bool:
    """Tell whether each recipient has fetched a message, as a hub sees it."""
    deliveries = hub.get(f"/api/messages/{message}")["deliveries"]
    return bool(deliveries) and all(delivery["fetched_at"] for delivery in deliveries)


def test_every_hub_is_ready_and_has_the_same_roster(running: RunningFleet, hubs: Hubs) -> None:
    wanted = {agent: node for node, agents in running.who.agents.items() for agent in agents}
    for hub in hubs.values():
        assert hub.get("/readyz")["ready"]
        assert homes(hub) == wanted


def test_every_hub_sees_every_watcher(running: RunningFleet, hubs: Hubs) -> None:
    for name, hub in hubs.items():
        until(partial(sees_all, hub, running.nodes), what=f"{name} sees them all")


def test_a_message_put_in_at_any_hub_is_fetched_by_all_agents(hubs: Hubs) -> None:
    body = {"from": "operator", "subject": "hubs", "body": "from each hub"}
    for name, hub in hubs.items():
        message = hub.post("/api/send", body)["id"]
        for other in hubs.values():
            until(
                partial(is_fetched, other, message),
                what=f"every agent has fetched what {name} took",
            )


def test_an_agent_of_a_hub_and_one_of_a_node_write_to_each_other(running: RunningFleet) -> None:
    for sender, recipient in (("ada", "bert"), ("cleo", "ada")):
        message = running.send(sender, recipient, "over the hubs")
        until(partial(running.is_fetched, message), what=f"{recipient} fetches it")
