from __future__ import annotations

from typing import Any

from bench.rollout import Run, most_tasks, read_plays, table


def task(name: str, seconds: int, *hosts: str) -> dict[str, Any]:
    return {"name": name, "seconds": seconds, "hosts": list(hosts)}


def play(name: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "seconds": 9, "tasks": list(tasks)}


def test_a_play_has_its_seconds_and_its_calls() -> None:
    report = {
        "plays": [
            play("Hub", task("Install", 4, "box"), task("Install", 2)),
            play("Nodes", task("Place", 3, "box", "mini")),
        ]
    }
    hub, nodes = read_plays(report)
    assert (hub.name, hub.seconds, hub.calls, hub.tasks) == ("Hub", 9, 1, {"Install": 6})
    assert nodes.calls == 2
    assert "Hub" in table([Run("first", 9.0, 1.0, 90.0, [hub, nodes], 3, 4)])


def test_the_hub_does_not_count_among_the_nodes() -> None:
    report = {"stats": {"box": {"ok": 25}, "mini": {"ok": 12}, "midi": {"ok": 11}}}
    assert most_tasks(report, without={"box"}) == 12
