"""The agents of `make e2e-agents`: what each is, how a user speaks to it, and how it gets MCP.

What is run here to set the programs up is what the pages docs/how-to/use-with-*.md say;
tests/unit/docs/test_docs_clients.py holds the two together.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.paths import LabError, fleet_dir
from tests.e2e.loop import on

if TYPE_CHECKING:
    from lab.fleet.standing import Fleet

PATH = "$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin"
TOKEN = "AGENT_BUS_TOKEN"


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
    guest: str = ""
    """Its name as a guest: no watcher is there, and it has a token of its own in a variable."""

    def entry(self) -> str | dict[str, Any]:
        """Return the agent as the inventory has it."""
        return {"name": self.agent, **dict(self.inventory)} if self.inventory else self.agent

    def run(self, fleet: Fleet, command: str) -> str:
        """Run a command as the program's user in its folder and return what it printed.

        Raises:
            LabError: it failed; with what it printed.
        """
        words = [
            f"cd /home/{self.user}/work",
            f"export HOME=/home/{self.user}",
            f"export PATH={PATH}",
        ]
        if self.guest:
            words.append(f"export {TOKEN}={self._token(fleet)}")
        script = shlex.quote(" && ".join([*words, command]))
        try:
            return on(fleet, self.host, f"runuser -u {self.user} -- sh -c {script}")
        except subprocess.CalledProcessError as error:
            said = f"{error.stdout}{error.stderr}"[-2000:]
            raise LabError(f"{self.user}@{self.host}: {command} failed:\n{said}") from error

    def _token(self, fleet: Fleet) -> str:
        file = fleet_dir(fleet.name) / "secrets" / "guests" / f"{self.guest}.token"
        return file.read_text().strip()

    def tell(self, fleet: Fleet, words: str) -> str:
        """Be the user who says something; returns when the turn has ended."""
        return self.run(fleet, self.turn.format(words=words))

    def questions(self, fleet: Fleet, since: float) -> list[dict[str, Any]]:
        """Return what the program asked its model, and the model's steps."""
        asked = lines(fleet, self.host, "/var/log/model.jsonl", since)
        return [line for line in asked if line.get("wire") == WIRES[self.program]]


def lines(fleet: Fleet, host: str, path: str, since: float) -> list[dict[str, Any]]:
    """Return the lines of a log on a host that are not older than `since`."""
    log = on(fleet, host, f"sh -c 'cat {path} 2>/dev/null || true'")
    return [line for line in map(json.loads, log.splitlines()) if line["at"] >= since]


WIRES = {
    "Claude Code": "messages",
    "Codex": "responses",
    "OpenClaw": "chat",
    "Gemini CLI": "gemini",
}
"""How each asks its model; agents of one host have different programs."""
CLAUDE_TURN = 'claude -p "{words}" --allowedTools "mcp__bus__*" < /dev/null'
CODEX_TURN = 'codex exec --skip-git-repo-check "{words}" < /dev/null'
GEMINI_TURN = 'gemini --skip-trust -m gemini-2.5-flash -p "{words}" < /dev/null'

CLAUDE = Member(
    "alice",
    "upstairs",
    "ada",
    "Claude Code",
    setup=("claude mcp add --scope user bus -- agent-bus mcp --as alice",),
    turn=CLAUDE_TURN,
    inventory=(("waker", "claude-code"), ("user", "ada"), ("folder", "/home/ada/work")),
)
CODEX = Member(
    "bob",
    "downstairs",
    "ben",
    "Codex",
    setup=("codex mcp add bus -- agent-bus mcp --as bob",),
    turn=CODEX_TURN,
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

HUB = "http://upstairs:8091/mcp"
BEARER = f"--header 'Authorization: Bearer ${{{TOKEN}}}'"
"""The variable's name stays in the settings; each client puts its value in."""
GUEST_CLAUDE = Member(
    "dora",
    "attic",
    "dora",
    "Claude Code",
    setup=(f"claude mcp add --scope user --transport http bus {HUB} {BEARER}",),
    turn=CLAUDE_TURN,
    guest="laptop-dora",
)
GUEST_CODEX = Member(
    "eric",
    "attic",
    "eric",
    "Codex",
    setup=(f"codex mcp add bus --url {HUB} --bearer-token-env-var {TOKEN}",),
    turn=CODEX_TURN,
    guest="laptop-eric",
)
GUEST_GEMINI = Member(
    "fay",
    "attic",
    "fay",
    "Gemini CLI",
    setup=(f"gemini mcp add --scope user --trust --transport http bus {HUB} {BEARER}",),
    turn=GEMINI_TURN,
    guest="laptop-fay",
)
GUESTS = (GUEST_CLAUDE, GUEST_CODEX, GUEST_GEMINI)
