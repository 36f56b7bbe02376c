from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from agent_bus_client.cli import parser

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_body_may_begin_with_a_dash_behind_two_dashes() -> None:
    options = parser.parse(["send", "--as", "a", "--to", "b", "--", "--help"])
    assert options.words == ["--help"]
    assert options.to == ["b"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("send beta --priority high hello", {"words": ["beta", "hello"], "priority": "high"}),
        ("send beta --prio=high hello", {"words": ["beta", "hello"], "priority": "high"}),
        ("send beta --prio high -", {"words": ["beta", "-"], "priority": "high"}),
        ("send --to a --no-spool --to b hello", {"words": ["hello"], "to": ["a", "b"]}),
        ("send beta --subject x -- --json", {"words": ["beta", "--json"], "json": False}),
        ("send beta --json -5", {"words": ["beta", "-5"], "json": True}),
        ("reply M1 --ack text", {"id": "M1", "body": "text", "ack": True}),
        ("reply M1 --ack", {"id": "M1", "body": None, "ack": True}),
        ("ask beta --as a --wait 2 text", {"recipient": "beta", "body": "text", "wait": 2.0}),
        ("ack M1 --as a M2", {"ids": ["M1", "M2"], "agent": "a"}),
        ("ack --up-to M1 --as a", {"ids": [], "up_to": "M1"}),
        ("show --part 2 M1 --json", {"id": "M1", "part": 2, "json": True}),
    ],
)
def test_options_may_stand_anywhere(arguments: str, expected: dict[str, object]) -> None:
    found = vars(parser.parse(arguments.split()))
    assert {name: found[name] for name in expected} == expected


def test_a_body_that_begins_with_a_dash_and_has_spaces_is_none_of_the_options() -> None:
    options = parser.parse(["send", "beta", "--subject", "- a list", "- one\n- two", "--json"])
    assert options.words == ["beta", "- one\n- two"]
    assert options.subject == "- a list"
    assert options.json


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("send beta --prioritty high hello", "unrecognized arguments: --prioritty"),
        ("send beta --priority --json hello", "argument --priority: expected one argument"),
        ("send beta --priority", "argument --priority: expected one argument"),
        ("send beta --priority low hello", "argument --priority: invalid choice: 'low'"),
        ("send beta hello --subject", "argument --subject: expected one argument"),
        ("send beta --subject -- hello", "argument --subject: expected one argument"),
        ("inbox --p", "ambiguous option: --p"),
        ("inbox beta", "unrecognized arguments: beta"),
        ("status M1 --json M2", "unrecognized arguments: M2"),
        ("reply --ack", "required: ID"),
        ("bogus --json", "invalid choice: 'bogus'"),
    ],
)
def test_a_mistake_is_named_and_ends_with_2(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser.parse(arguments.split())
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


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
        parser.parse([verb, "--help"])
    assert caught.value.code == 0
    words = capsys.readouterr().out
    assert "--json" in words
    assert "--as" in words


def test_the_version_is_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser.parse(["--version"])
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


def said(
    parse: Callable[[list[str]], argparse.Namespace],
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> tuple[object, str, str]:
    try:
        found: object = vars(parse(arguments))
    except SystemExit as ended:
        found = ended.code
    return found, *capsys.readouterr()


@pytest.mark.parametrize("verb", parser.VERBS)
def test_a_verbs_own_grammar_says_what_that_of_all_verbs_says(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right = ["", "M1", "--json M1", "M1 x y"]
    wrong = ["--bogus M1", "--wait", "--wait M1", "--priority low", "--limit x", "--p", "-x"]
    for more in (*right, *wrong, "--help", "-h x", "-- --json", "--version"):
        arguments = [verb, *more.split()]
        alone = said(parser.parse, arguments, capsys)
        assert alone == said(parser.build().parse_args, arguments, capsys), more


@pytest.mark.parametrize("columns", ["60", "100"])
def test_help_is_as_wide_as_the_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    _, words, _ = said(parser.parse, ["history", "--help"], capsys)
    assert int(columns) - 10 <= max(map(len, words.splitlines())) <= int(columns) - 2
