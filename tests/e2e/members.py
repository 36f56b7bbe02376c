"""The agents of `make e2e-agents`: what each is, how a user speaks to it, and how it gets MCP.

What is run here to set the programs up is what the pages docs/how-to/use-with-*.md say;
tests/unit/docs/test_docs_clients.py holds the two together.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.loop import on

if TYPE_CHECKING:
    from lab.fleet.standing import Fleet

SERVER = "bus"
"""The MCP server's name in every client."""


@dataclass(frozen=True, slots=True)
class Member:
    """One agent, and the program that it lives in."""

    agent: str
    host: str
    user: str
    program: str
    setup: tuple[str, ...]
    """Commands of the user that give the program the bus's MCP server."""
    turn: str
    """Command of the user that starts a turn with `{words}`."""
    inventory: tuple[tuple[str, Any], ...] = ()
    """How the agent is woken, for the inventory."""

    def entry(self) -> str | dict[str, Any]:
        """Return the agent as the inventory has it."""
        return {"name": self.agent, **dict(self.inventory)} if self.inventory else self.agent

    def run(self, fleet: Fleet, command: str) -> str:
        """Run a command as the program's user in its folder and return what it printed."""
        folder = f"/home/{self.user}/work"
        path = "/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"
        words = f"cd {folder} && export PATH={path} && {command}"
        quoted = words.replace("'", "'\\''")
        return on(
            fleet,
            self.host,
            f"runuser -u {self.user} -- env -C / HOME=/home/{self.user} sh -c '{quoted}'",
        )

    def tell(self, fleet: Fleet, words: str) -> str:
        """Be the user who says something; returns when the turn has ended."""
        return self.run(fleet, self.turn.format(words=words))

    def questions(self, fleet: Fleet, since: float) -> list[dict[str, Any]]:
        """Return what the model was asked on the agent's host, and its steps."""
        return lines(fleet, self.host, "/var/log/model.jsonl", since)


def lines(fleet: Fleet, host: str, path: str, since: float) -> list[dict[str, Any]]:
    """Return the lines of a log on a host that are not older than `since`."""
    log = on(fleet, host, f"sh -c 'cat {path} 2>/dev/null || true'")
    return [line for line in map(json.loads, log.splitlines()) if line["at"] >= since]


CLAUDE = Member(
    "alice",
    "upstairs",
    "ada",
    "Claude Code",
    setup=("claude mcp add --scope user bus -- agent-bus mcp --as alice",),
    turn='claude -p "{words}" --allowedTools "mcp__bus__*" < /dev/null',
    inventory=(("waker", "claude-code"), ("user", "ada"), ("folder", "/home/ada/work")),
)
CODEX = Member(
    "bob",
    "downstairs",
    "ben",
    "Codex",
    setup=("codex mcp add bus -- agent-bus mcp --as bob",),
    turn='codex exec --skip-git-repo-check "{words}" < /dev/null',
    inventory=(("waker", "codex"), ("user", "ben"), ("folder", "/home/ben/work")),
)
OPENCLAW = Member(
    "carol",
    "attic",
    "openclaw",
    "OpenClaw",
    setup=("openclaw mcp add bus --command agent-bus --arg mcp --arg --as --arg carol",),
    turn='openclaw agent --agent carol -m "{words}"',
)
MEMBERS = (CLAUDE, CODEX, OPENCLAW)
