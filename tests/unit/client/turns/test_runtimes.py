"""What the real programs print is read; the lines are theirs, shortened."""

from __future__ import annotations

import json

import pytest

from agent_bus_client.agents import Agent, Turns
from agent_bus_client.turns.runtimes import RUNTIMES, Said, prompt

CODER = Agent("coder", "claude-code", turns=Turns("dev", "/work", arguments=("--model", "x")))
TURNS = CODER.turns
CLAUDE, CODEX = RUNTIMES["claude-code"], RUNTIMES["codex"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"type":"system","subtype":"init","session_id":"u1"}', Said("u1")),
        (
            '{"type":"assistant","message":{"content":[{"type":"tool_use","name":"Bash"}]}}',
            Said(words="uses Bash"),
        ),
        (
            '{"type":"result","is_error":false,"result":"Done.","session_id":"u1"}',
            Said("u1", "Done."),
        ),
        (
            '{"type":"result","is_error":true,"result":"Not logged in","session_id":"u1"}',
            Said("u1", trouble="Not logged in"),
        ),
        ("no JSON", Said()),
        ("[1]", Said()),
        ('{"type":"assistant","message":"odd"}', Said()),
    ],
)
def test_a_line_of_claude_code_is_read(line: str, said: Said) -> None:
    assert CLAUDE.said(line.encode()) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"type":"thread.started","thread_id":"t1"}', Said("t1")),
        (
            '{"type":"item.completed","item":{"type":"agent_message","text":"Done."}}',
            Said(words="Done."),
        ),
        (
            '{"type":"item.completed","item":{"type":"mcp_tool_call","server":"bus","tool":"ack"}}',
            Said(words="uses bus/ack"),
        ),
        ('{"type":"turn.failed","error":{"message":"no key"}}', Said(trouble="no key")),
        ('{"type":"error","message":"no key"}', Said(trouble="no key")),
        ('{"type":"turn.completed","usage":{}}', Said()),
        ("", Said()),
    ],
)
def test_a_line_of_codex_is_read(line: str, said: Said) -> None:
    assert CODEX.said(line.encode()) == said


def test_a_new_conversation_of_claude_code_gets_its_id_and_an_old_one_is_resumed() -> None:
    assert TURNS
    new = CLAUDE.arguments(CODER, TURNS, session="u1", resume=False)
    old = CLAUDE.arguments(CODER, TURNS, session="u1", resume=True)
    assert new[-2:] == ["--session-id", "u1"]
    assert old[-2:] == ["--resume", "u1"]
    assert new[:-2] == old[:-2]
    servers = json.loads(new[new.index("--mcp-config") + 1])["mcpServers"]
    assert servers == {"bus": {"command": "agent-bus", "args": ["mcp", "--as", "coder"]}}
    assert new[new.index("--permission-mode") + 1] == "dontAsk"
    assert new[new.index("--allowedTools") + 1] == "mcp__bus__*"
    assert new[new.index("--model") :][:2] == ["--model", "x"]


def test_codex_reads_its_prompt_from_standard_input_and_never_asks() -> None:
    assert TURNS
    new = CODEX.arguments(CODER, TURNS, session="t1", resume=False)
    old = CODEX.arguments(CODER, TURNS, session="t1", resume=True)
    assert new[:2] == ["exec", "--json"]
    assert old[:3] == ["exec", "resume", "--json"]
    assert new[-1] == "-"
    assert old[-2:] == ["t1", "-"]
    for arguments in (new, old):
        assert 'approval_policy="never"' in arguments
        assert 'sandbox_mode="workspace-write"' in arguments
        assert 'mcp_servers.bus.args=["mcp", "--as", "coder"]' in arguments


def test_the_prompt_begins_with_the_wake_text() -> None:
    assert prompt(CODER).startswith(CODER.wake_text)
