"""Who has a token of its own, what its node gets, and what is left to delete."""

from __future__ import annotations

from typing import Any

import pytest

from filter_plugins import agents

CODER = {"name": "coder", "waker": "claude-code", "user": "dev", "folder": "/x"}
TWIN = {**CODER, "name": "twin", "waker": "codex"}
ALARM = {"name": "alarm", "waker": "command", "command": ["/bin/true"], "token_user": "siren"}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (["main", "scribe"], {}),
        (["main"], {}),
        (["main", CODER], {"coder": "dev"}),
        ([CODER, TWIN], {}),
        ([{**CODER, "user": "claw"}, "main"], {}),
        ([{**CODER, "user": "claw"}], {"coder": "claw"}),
        ([{**CODER, "own_token": False}], {}),
        ([{"name": "main", "own_token": True}], {"main": "claw"}),
        (["main", ALARM], {"alarm": "siren"}),
        ([{**ALARM, "own_token": False}], {}),
    ],
)
def test_an_agent_with_a_user_of_its_own_has_a_token_of_its_own(
    listed: list[Any], expected: dict[str, str]
) -> None:
    assert agents.own_token_users(listed, "claw") == expected


def test_the_nodes_settings_name_the_file_and_not_the_rollouts_words() -> None:
    found = agents.node_agents(["main", {**CODER, "own_token": True}, ALARM], "claw")
    assert found == [
        {"name": "main"},
        {**CODER, "token_file": "/etc/agent-bus/tokens/coder"},
        {
            "name": "alarm",
            "waker": "command",
            "command": ["/bin/true"],
            "token_file": "/etc/agent-bus/tokens/alarm",
        },
    ]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([], ["claw"]),
        (["main"], ["claw"]),
        (["main", CODER], ["claw"]),
        ([CODER], []),
        ([CODER, TWIN], ["dev"]),
        (["main", {**CODER, "own_token": False}], ["claw", "dev"]),
    ],
)
def test_who_speaks_with_own_tokens_only_gets_no_token_of_the_node(
    listed: list[Any], expected: list[str]
) -> None:
    assert agents.node_token_users(listed, "claw") == expected


def test_each_file_is_its_users_alone() -> None:
    folder, coder = agents.own_token_entries({"coder": "dev"}, {"coder.token": "secret"})
    assert (folder["path"], folder["mode"]) == ("/etc/agent-bus/tokens", "0755")
    assert coder == {
        "path": "/etc/agent-bus/tokens/coder",
        "content": "secret\n",
        "owner": "dev",
        "mode": "0400",
        "secret": True,
    }
    assert agents.own_token_entries({}, {}) == []


def left(*names: str, passed: tuple[str, ...] = ("mini",), listed: list[Any] | None = None) -> Any:
    hostvars = {"mini": {"agents": ["main", CODER] if listed is None else listed}}
    own = agents.own_token_agents(hostvars, ["mini"])
    files = [f"/s/agents/{name}" for name in names]
    found = agents.own_token_leftovers(
        files, own, hostvars=hostvars, nodes=["mini"], passed=passed
    )
    return [file.rpartition("/")[2] for file in found]


def test_what_a_node_has_got_is_no_longer_kept_twice() -> None:
    names = ("coder.token", "coder.token.node", "coder.token.old")
    assert left(*names) == ["coder.token.node", "coder.token.old"]
    assert left(*names, passed=()) == []


def test_the_token_of_an_agent_that_is_to_have_none_goes_once_its_node_has_passed() -> None:
    shared: list[Any] = ["main", {**CODER, "own_token": False}]
    assert left("coder.token", listed=shared, passed=()) == []
    assert left("coder.token", listed=shared) == ["coder.token"]


def test_the_token_of_an_agent_that_has_left_goes_at_once() -> None:
    assert left("coder.token", "gone.token", passed=()) == ["gone.token"]


def test_a_service_that_takes_turns_is_another_one_with_another_token() -> None:
    """It reads its settings once, and is ended when what stands here changes."""
    _, own = agents.turn_dropins([CODER], "claw")
    assert own["content"].splitlines()[1:] == [
        "User=dev",
        "Environment=AGENT_BUS_TOKEN_FILE=/etc/agent-bus/tokens/coder",
    ]
    _, shared = agents.turn_dropins([{**CODER, "own_token": False}], "claw")
    assert shared["content"].splitlines()[1:] == ["User=dev"]
