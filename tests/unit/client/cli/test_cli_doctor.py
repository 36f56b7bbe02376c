"""What `doctor` says of the hub's own alerts."""

from __future__ import annotations

from typing import Any

from agent_bus_client.cli import doctor


class Hub:
    """Answers with these figures."""

    def __init__(self, stats: dict[str, Any]) -> None:
        self._stats = stats

    def call(self, _method: str, _path: str, **_more: Any) -> dict[str, Any]:
        return self._stats


class Context:
    """As much of a context as these checks read."""

    def __init__(self, *names: str, words: tuple[str, ...] = ("Disk: 5 GB free",)) -> None:
        alerts = [{"name": name, "words": f"{name}!", "advice": "do it"} for name in names]
        self.hub = Hub({"alerts": alerts, "reserves": {"words": list(words)}})


def checked(context: Any) -> dict[str, tuple[bool, str]]:
    return {one.name: (one.ok, one.advice) for one in doctor._reserves(context)}


def test_a_calm_hub_is_known_by_its_reserves_alone() -> None:
    assert checked(Context()) == {"hub's reserves": (True, "")}
    assert checked(Context("AgentBusWatcherGone")) == {"hub's reserves": (True, "")}
    assert checked(Context(words=())) == {}, "an older hub"


def test_what_is_wrong_with_the_hubs_is_told_on_each_node() -> None:
    found = checked(Context("AgentBusHubLost", "AgentBusEtcdNoLeader", "AgentBusDiskLow"))
    assert found["hub's reserves"] == (False, "AgentBusDiskLow!: do it")
    assert found["hubs and database"] == (
        False,
        "AgentBusHubLost!: do it; AgentBusEtcdNoLeader!: do it",
    )
