from __future__ import annotations

from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_tokens import token_findings

CODER = {"name": "coder", "waker": "claude-code", "user": "dev", "folder": "/x"}
ALARM = {"name": "alarm", "waker": "command", "command": ["/bin/true"]}


def says(*listed: Any) -> list[str]:
    hostvars: dict[str, Any] = {"box": {"agents": list(listed), "openclaw_user": "claw"}}
    return [found["says"] for found in token_findings(hostvars, {"nodes": ["box"]})]


@pytest.mark.parametrize(
    "listed",
    [
        ["main", CODER],
        ["main", {**CODER, "own_token": True}],
        ["main", {**CODER, "own_token": False}],
        [{"name": "main", "own_token": True}],
        ["main", {**ALARM, "token_user": "siren"}],
        [CODER, {**CODER, "name": "twin"}],
        [{"name": "main"}, None, 3],
    ],
)
def test_what_makes_sense_passes(listed: list[Any]) -> None:
    assert says(*listed) == []


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([{**CODER, "own_token": "yes"}], "agent coder of box has own_token 'yes'; write true"),
        (
            ["main", {"name": "a", "own_token": True}],
            "runs as user claw like main, who could read",
        ),
        ([CODER, {**CODER, "name": "b", "own_token": True}], "runs as user dev like coder"),
        ([{**CODER, "token_user": "x"}], "has a token_user beside `user`"),
        ([{**ALARM, "token_user": "no user"}], "has token_user 'no user', no name of a user"),
        ([{**ALARM, "token_user": "x", "own_token": False}], "token_user and own_token: false"),
    ],
)
def test_what_is_wrong_is_said(listed: list[Any], expected: str) -> None:
    (found,) = says(*listed)
    assert expected in found
