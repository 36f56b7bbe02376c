"""Real watchers and both kinds of gateway: what watchers learn, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.node_side import (
    NODE_PYTHON,
    HubWithNodes,
    Node,
    StandinProcess,
    launcher,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLI = launcher("from agent_bus_client.__main__ import main; x(main(sys.argv[1:]))")
CLOSE = {"wake_min_interval_s": 0.4, "escalate_after_s": 3, "rewake_after_s": 600}


def turn_of(node: Node, held: Path) -> list[str]:
    """The command of a turn: fetch, wait while the agent's file exists, ack."""
    program = [NODE_PYTHON, "-I", "-S", "-c", CLI]
    environment = [f"{key}={value}" for key, value in node.env().items()]
    script = (
        'ids=$("$@" inbox --as {agent} --json | grep -o \'"id": *"[0-9A-Z]*"\' | cut -d\\" -f4);'
        f" while [ -e {held}-{{agent}} ]; do sleep 0.05; done;"
        ' [ -z "$ids" ] || "$@" ack --as {agent} $ids'
    )
    return ["env", *environment, "sh", "-c", script, "sh", *program]


def kind_of(hub: HubWithNodes) -> str:
    (found,) = [n for n in hub.call("GET", "/api/agents")["nodes"] if n["node"] == "n1"]
    return str(found["gateway_kind"])


def ways(gateway: StandinProcess, agent: str) -> list[str]:
    return [wake["path"] for wake in gateway.wakes(agent)]


def read(hub: HubWithNodes, agent: str) -> None:
    hub.send(agent)
    until(lambda: hub.agent(agent)["unread"] == 0, what=f"{agent} has read it")


@pytest.fixture
def started(
    hub: HubWithNodes,
    gateway: StandinProcess,
    node: Node,
    online: Callable[[], None],
    tmp_path: Path,
) -> Callable[[str], Path]:
    def start(kind: str) -> Path:
        node.settings.update(CLOSE)
        node.write()
        held = tmp_path / "held"
        gateway.standin(kind=kind, turn=turn_of(node, held), turn_delay_s=0)
        online()
        return held

    return start


def test_a_follow_up_gateway_is_known_by_its_turns(
    hub: HubWithNodes, gateway: StandinProcess, node: Node, started: Callable[[str], Path]
) -> None:
    started("follow-up")
    assert kind_of(hub) == "unknown"
    for _ in range(20):
        read(hub, "alpha")
        if "gateway starts turns beside others; waking closer" in node.watcher.events():
            break
    until(lambda: kind_of(hub) == "follow-up", what="the hub knows")
    assert "follow-up" in node.cli("doctor", env={"HOME": str(node.folder)}).stdout
    assert set(ways(gateway, "alpha")) == {"/hooks/wake"}
    # the gateway holds wakes back again: one is late, and the watcher drops its evidence
    gateway.standin(kind="heartbeat", turn=turn_of(node, node.folder / "held"), turn_delay_s=0)
    read(hub, "alpha")
    until(lambda: kind_of(hub) == "heartbeat", what="the hub knows that it was wrong")
    assert ways(gateway, "alpha")[-1] == "/hooks/agent-bus/alpha"
    assert "gateway puts turns off; waking at the usual pace" in node.watcher.events()


def test_a_heartbeat_gateway_is_escalated_to_past_its_flood_guard(
    hub: HubWithNodes, gateway: StandinProcess, started: Callable[[str], Path]
) -> None:
    started("heartbeat")
    for _ in range(6):
        read(hub, "alpha")
    assert ways(gateway, "alpha") == [*["/hooks/wake"] * 6, "/hooks/agent-bus/alpha"]
    until(lambda: kind_of(hub) == "heartbeat", what="the hub knows")


@pytest.mark.parametrize("kind", ["heartbeat", "follow-up"])
def test_an_agent_is_woken_before_another_one_s_turn_has_ended(
    hub: HubWithNodes, gateway: StandinProcess, started: Callable[[str], Path], kind: str
) -> None:
    """If the gateway puts the turn off, the escalation wakes the agent."""
    busy = started(kind).with_name("held-beta")
    busy.touch()
    hub.send("beta")
    until(lambda: hub.agent("beta")["unfetched"] == 0, what="beta is in its turn")
    read(hub, "alpha")
    assert hub.agent("beta")["unread"] == 1
    escalated = ways(gateway, "alpha")[-1] == "/hooks/agent-bus/alpha"
    assert escalated == (kind == "heartbeat")
    busy.unlink()
    until(lambda: hub.agent("beta")["unread"] == 0, what="beta's turn ends")
