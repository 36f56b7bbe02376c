from __future__ import annotations

from typing import Any

import pytest

from agent_bus_client import agents as of_the_node
from agent_bus_client.agents import Turns
from agent_bus_client.turns.runtimes import RUNTIMES
from filter_plugins.agents import OF_THE_ROLLOUT, TURN_WAKERS
from roles.preflight.filter_plugins import preflight, preflight_turns
from roles.preflight.filter_plugins.preflight_turns import turn_checks, turn_findings

CODER = {"name": "coder", "waker": "claude-code", "user": "coder", "folder": "/home/coder/x"}


def says(**changes: object) -> list[str]:
    agent = {key: value for key, value in {**CODER, **changes}.items() if value is not None}
    hostvars: dict[str, Any] = {"box": {"agents": ["main", agent]}}
    return [found["says"] for found in turn_findings(hostvars, {"nodes": ["box"]})]


def test_a_complete_agent_is_well() -> None:
    assert says() == []
    assert says(waker="codex", sandbox="read-only", arguments=["--model", "x"]) == []
    assert says(permission_mode="acceptEdits", allowed_tools=[], turn_limit_s=60) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"user": None}, "agent coder of box has waker `claude-code` and needs `user:`"),
        ({"user": "root"}, "has user 'root', and mail decides"),
        ({"user": "bus-watcher"}, "make one of its own for them"),
        ({"folder": "x"}, "needs `folder:` with a whole path"),
        ({"folder": None}, "needs `folder:` with a whole path"),
        ({"limit": 1}, "unknown setting 'limit' for waker `claude-code`; it is one of"),
        ({"sandbox": "read-only"}, "unknown setting 'sandbox' for waker `claude-code`"),
        ({"arguements": []}, "did you mean 'arguments'?"),
        ({"turn_limit_s": 1}, "turn_limit_s 1; it is a number of seconds, at least 10"),
        ({"session": "old"}, "session 'old'; it is one of resume, new"),
        ({"program": "bin/x"}, "program 'bin/x'; write a name or a whole path"),
        ({"arguments": "-v"}, "arguments that are no list of words"),
        ({"environment_file": "env"}, "needs `environment_file:` with a whole path"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, object], expected: str) -> None:
    (found,) = says(**changes)
    assert expected in found


def test_a_host_is_asked_about_well_formed_agents_only() -> None:
    broken = {"name": "x", "waker": "codex"}
    (asked,) = turn_checks(["main", CODER, broken])
    assert asked == {
        "name": "coder",
        "user": "coder",
        "folder": "/home/coder/x",
        "program": "claude",
        "oldest": "2.1.332",
        "environment_file": "",
    }


def test_the_inventory_and_the_nodes_settings_know_the_same_words() -> None:
    known = of_the_node
    assert tuple(preflight_turns.PROGRAMS) == TURN_WAKERS == known.RUNTIMES
    assert preflight.TURN_WAKERS == known.RUNTIMES
    for name in ("SESSIONS", "SANDBOXES", "PERMISSION_MODES", "SHORTEST_TURN_S"):
        assert getattr(preflight_turns, name) == getattr(known, name)
    for waker, runtime in RUNTIMES.items():
        assert preflight_turns.PROGRAMS[waker] == runtime.program
        assert preflight_turns.OLDEST[waker] == ".".join(map(str, runtime.oldest))
    keys = {*preflight_turns.KEYS, *sum(preflight_turns.KEYS_OF.values(), ())}
    fields_of = {*Turns.__annotations__} - {"limit_s"}
    assert keys == {"name", "waker", "turn_limit_s", *fields_of, *OF_THE_ROLLOUT}
