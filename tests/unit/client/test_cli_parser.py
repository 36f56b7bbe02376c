from __future__ import annotations

import argparse

import pytest

from agent_bus_client.cli import parser


def test_a_body_may_begin_with_a_dash_behind_two_dashes() -> None:
    options = parser.build().parse_args(["send", "--as", "a", "--to", "b", "--", "--help me"])
    assert options.words == ["--help me"]
    assert options.to == ["b"]


@pytest.mark.parametrize(
    "verb",
    [
        "send",
        "reply",
        "ask",
        "inbox",
        "ack",
        "show",
        "thread",
        "history",
        "status",
        "agents",
        "stats",
        "tail",
        "doctor",
    ],
)
def test_every_verb_takes_json_and_as_and_explains_itself(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.build().parse_args([verb, "--help"])
    assert caught.value.code == 0
    words = capsys.readouterr().out
    assert "--json" in words
    assert "--as" in words


def test_the_version_is_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser.build().parse_args(["--version"])
    assert capsys.readouterr().out.startswith("agent-bus 0.1.0")


def test_every_argument_is_explained() -> None:
    kind = argparse._SubParsersAction
    (verbs,) = (action for action in parser.build()._actions if isinstance(action, kind))
    silent = [
        f"{name} {action.dest}"
        for name, verb in verbs.choices.items()
        for action in verb._actions
        if not action.help
    ]
    assert not silent
