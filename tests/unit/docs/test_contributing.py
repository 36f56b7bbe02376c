"""What CONTRIBUTING.md asks for and no other test would miss."""

from __future__ import annotations

import re
from pathlib import Path

from agent_bus.core import alerts
from agent_bus_client.agents import WAKERS
from roles.preflight.filter_plugins import preflight

ROOT = Path(__file__).resolve().parents[3]


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_preflight_knows_the_wakers_that_the_watcher_has() -> None:
    assert set(preflight.WAKERS) == set(WAKERS)


def test_every_waker_is_in_the_reference() -> None:
    (row,) = re.findall(r"^\| `waker` \|.*$", page("docs/reference/inventory.md"), re.MULTILINE)
    assert set(WAKERS) <= set(re.findall(r"`([\w-]+)`", row))


def test_the_how_to_lists_every_alert() -> None:
    listed = re.findall(r"^\| (AgentBus\w+) \|", page("docs/how-to/monitor.md"), re.MULTILINE)
    assert set(listed) == {*alerts.RULES, "AgentBusDown"}


def test_every_finding_has_its_row() -> None:
    listed = re.findall(r"^\| `([\w-]+\.sh)` \|", page("findings/README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in (ROOT / "findings").glob("*.sh"))


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"Forgotten\? `pytest -n0 ([^`]+)`", page("CONTRIBUTING.md"))
    paths = [path for command in named for path in command.split()]
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []
