"""A model follows the skill: its commands exist, and it says what was agreed."""

from __future__ import annotations

import importlib
import re
import shlex

import pytest
import yaml

from agent_bus_client.agents import Agent
from agent_bus_client.cli import parser
from tests.support.module import find_utilities
from tests.support.node_side import ROOT

TEXT = (ROOT / "roles" / "openclaw_bus" / "files" / "SKILL.md").read_text(encoding="utf-8")
FRONT, BODY = TEXT.split("---\n")[1:3]
QUOTED = re.findall(r"`(agent-bus [^`]+)`", BODY)
LISTED = re.findall(r"^    (agent-bus .*?)(?:  .*)?$", BODY, re.MULTILINE)
COMMANDS = sorted({*QUOTED, *LISTED} - {"agent-bus --help"})


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_skill_is_understood(command: str) -> None:
    words = shlex.split(command.replace(" ...", "").partition("<<")[0])
    options = parser.parse(words[1:])
    assert callable(options.run)


def test_the_commands_were_found() -> None:
    verbs = {command.split()[1] for command in COMMANDS}
    assert verbs == {
        "inbox",
        "reply",
        "ack",
        "send",
        "ask",
        "answer",
        "agents",
        "thread",
        "status",
    }


def test_what_a_prompt_holds_of_the_skill_is_short_and_says_what_a_wake_means() -> None:
    front = yaml.safe_load(FRONT)
    assert re.fullmatch(r"[a-z0-9-]+", front["name"])
    assert len(front["description"]) < 160
    assert "agent-bus: unread messages" in front["description"]
    assert "run agent-bus inbox" in front["description"]
    assert "NO_REPLY" in front["description"]


def test_a_woken_turn_says_nothing_to_the_user_unless_it_must() -> None:
    """Newer gateways deliver the last reply of a woken turn to the user of its session."""
    steps = re.findall(r"^(\d)\. (.*)$", BODY, re.MULTILINE)
    assert [number for number, _ in steps] == ["1", "2", "3", "4", "5"]
    assert steps[-1][1].startswith("End the turn with NO_REPLY as your whole last reply")
    assert "System line" not in TEXT  # gateways differ in where a wake's line stands


def test_the_skill_the_hook_and_the_watcher_have_the_same_wake() -> None:
    find_utilities()
    module = importlib.import_module("library.openclaw_gateway")
    wake = Agent("NAME").wake_text
    assert module.mapping("NAME")["messageTemplate"] == wake
    assert f'"{wake}"' in TEXT
