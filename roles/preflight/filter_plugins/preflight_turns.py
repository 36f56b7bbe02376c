"""Check the agents of an inventory whose runtime is started for each turn.

Finds what preflight.py then puts a place to: a finding has the `keys` that lead to it (the
strongest first) and what it `says`. A test compares the words here with those of the node's own
settings (agent_bus_client/agents.py), which the hosts check once more.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Finding = dict[str, Any]
PROGRAMS = {"claude-code": "claude", "codex": "codex"}
OLDEST = {"claude-code": "2.1.332", "codex": "0.171.0"}
"""The versions whose options and output the wakers were made for; newer ones keep them so far."""
SESSIONS = ("resume", "new")
SANDBOXES = ("read-only", "workspace-write", "danger-full-access")
PERMISSION_MODES = ("dontAsk", "acceptEdits", "auto", "plan", "bypassPermissions")
SHORTEST_TURN_S = 10
NOT_FOR_TURNS = ("root", "agent-bus", "bus-watcher")
"""Users whose files are the system's or the bus's own."""
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")
KEYS = (
    *("name", "waker", "user", "folder", "program", "turn_limit_s", "session", "arguments"),
    *("environment_file", "own_token", "token_user"),
)
KEYS_OF = {"claude-code": ("permission_mode", "allowed_tools"), "codex": ("sandbox",)}
CHOICES = {"session": SESSIONS, "permission_mode": PERMISSION_MODES, "sandbox": SANDBOXES}


def turn_findings(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return what is wrong with the agents that have such a waker."""
    hosts = dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])])
    found = []
    for host in hosts:
        listed = hostvars[host].get("agents")
        for agent in listed if isinstance(listed, list | tuple) else ():
            if isinstance(agent, dict) and agent.get("waker") in PROGRAMS:
                found += [
                    {
                        "keys": [host, "agents", key],
                        "says": f"agent {agent.get('name')} of {host} {says}",
                    }
                    for key, says in (*_wrong(agent), *_wrong_user(agent))
                ]
    return found


def turn_checks(agents: Sequence[object]) -> list[dict[str, str]]:
    """Return what a host has to be asked about each such agent; well-formed ones only."""
    return [
        {
            "name": str(agent["name"]),
            "user": str(agent["user"]),
            "folder": str(agent["folder"]),
            "program": str(agent.get("program") or PROGRAMS[agent["waker"]]),
            "oldest": OLDEST[agent["waker"]],
            "environment_file": str(agent.get("environment_file") or ""),
        }
        for agent in agents
        if isinstance(agent, dict) and agent.get("waker") in PROGRAMS and not list(_wrong(agent))
    ]


def _wrong(agent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give each wrong setting, and what is wrong with it."""
    waker = agent["waker"]
    known = (*KEYS, *KEYS_OF[waker])
    for key in agent:
        if key not in known:
            nearly = difflib.get_close_matches(str(key), known, n=1, cutoff=0.75)
            hint = f"did you mean {nearly[0]!r}?" if nearly else f"it is one of {', '.join(known)}"
            yield str(key), f"has an unknown setting {key!r} for waker `{waker}`; {hint}"
    if not USER.fullmatch(str(agent.get("user", ""))):
        yield "user", f"has waker `{waker}` and needs `user:`, whose login the turns use"
    yield from _wrong_paths(agent)
    limit = agent.get("turn_limit_s", SHORTEST_TURN_S)
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < SHORTEST_TURN_S:
        yield (
            "turn_limit_s",
            f"has turn_limit_s {limit!r}; it is a number of seconds, at least {SHORTEST_TURN_S}",
        )
    for key, choices in CHOICES.items():
        if key in agent and agent[key] not in choices:
            yield key, f"has {key} {agent[key]!r}; it is one of {', '.join(choices)}"
    for key in ("arguments", "allowed_tools"):
        words = agent.get(key, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            yield key, f"has {key} that are no list of words, like `{key}: [one, two]`"


def _wrong_user(agent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with a user that a host may well have."""
    if agent.get("user") in NOT_FOR_TURNS:
        says = (
            "and mail decides what turns do with that user's files; make one of its own for them"
        )
        yield "user", f"has user '{agent['user']}', {says}"


def _wrong_paths(agent: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("folder", "environment_file"):
        if (key == "folder" or key in agent) and not str(agent.get(key, "")).startswith("/"):
            yield key, f"needs `{key}:` with a whole path, one that begins with /"
    program = agent.get("program", "")
    if not isinstance(program, str) or ("/" in program and not program.startswith("/")):
        yield "program", f"has program {program!r}; write a name or a whole path"


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"turn_findings": turn_findings, "turn_checks": turn_checks}
