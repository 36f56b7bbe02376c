"""What the pages about Claude Code, Codex, Gemini CLI and Cursor tell a reader to set up."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from tests.e2e.members import CLAUDE, CODEX, GUESTS, TOKEN, Member
from tests.support.node_side import ROOT

PAGES = {
    "Claude Code": "use-with-claude-code.md",
    "Codex": "use-with-codex.md",
    "Gemini CLI": "use-with-gemini-cli.md",
    "Cursor": "use-with-cursor.md",
}
HUB = "http://t440:8091/mcp"
"""The hub of the pages; the test with the real programs has another."""


def page(program: str) -> str:
    return (ROOT / "docs" / "how-to" / PAGES[program]).read_text(encoding="utf-8")


def blocks(program: str, language: str) -> list[str]:
    """Return the page's code blocks in one language, without their indentation in a list."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```$", page(program), re.DOTALL | re.MULTILINE
    )
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def commands(program: str) -> list[str]:
    return [line for block in blocks(program, "sh") for line in block.splitlines()]


@pytest.mark.parametrize("member", [CLAUDE, CODEX, *GUESTS], ids=lambda member: member.agent)
def test_a_page_says_what_the_test_with_the_real_program_runs(member: Member) -> None:
    for command in member.setup:
        here = re.sub(r"http://[^ ]+/mcp", HUB, command)
        assert here in commands(member.program)
    if member.guest:
        assert any(line.startswith(f"export {TOKEN}=") for line in commands(member.program))


@pytest.mark.parametrize("member", [CLAUDE, CODEX], ids=lambda member: member.agent)
def test_a_page_has_the_inventory_of_the_test_with_the_real_program(member: Member) -> None:
    [variables] = [yaml.safe_load(block) for block in blocks(member.program, "yaml")]
    assert variables["agents"] == [member.entry()]


def test_the_settings_of_codex_are_those_that_its_commands_write() -> None:
    servers = [tomllib.loads(block)["mcp_servers"]["bus"] for block in blocks("Codex", "toml")]
    _, here = CODEX.setup[0].split(" -- ")
    command, *arguments = shlex.split(here)
    assert servers == [
        {"command": command, "args": arguments},
        {"url": HUB, "bearer_token_env_var": TOKEN},
    ]


def test_the_settings_of_cursor_start_and_ask_what_other_clients_do() -> None:
    files: list[dict[str, Any]] = [json.loads(block) for block in blocks("Cursor", "json")]
    near, far = (file["mcpServers"]["bus"] for file in files)
    _, start = CLAUDE.setup[0].split(" -- ")
    assert [near["command"], *near["args"][:-1]] == shlex.split(start)[:-1]
    assert far["url"] == HUB
    assert far["headers"] == {"Authorization": f"Bearer ${{env:{TOKEN}}}"}


def test_json_of_the_pages_is_valid() -> None:
    for program in PAGES:
        for block in blocks(program, "json"):
            json.loads(block)


@pytest.mark.parametrize("program", PAGES)
def test_a_page_leads_to_guests(program: str) -> None:
    assert "## A machine that is not in the inventory" in page(program)
    assert "(add-a-guest.md)" in page(program)
