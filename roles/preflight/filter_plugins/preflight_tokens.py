"""Check what the inventory says of agents' own tokens.

Reads what Ansible knows. What it finds has the form of preflight_values.py's findings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Finding = dict[str, Any]
TURN_WAKERS = ("claude-code", "codex")
USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}")


def token_findings(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return what is wrong with `own_token` and `token_user` of the hosts' agents."""
    found = []
    for host in dict.fromkeys([*groups.get("hub", []), *groups.get("nodes", [])]):
        listed = hostvars[host].get("agents")
        agents = [_mapping(one) for one in listed] if isinstance(listed, list | tuple) else []
        usual = hostvars[host].get("openclaw_user") or "openclaw"
        for agent in agents:
            found += [
                {
                    "keys": [host, "agents", key],
                    "says": f"agent {agent.get('name')} of {host} {says}",
                }
                for key, says in _wrong(agent, agents, str(usual))
            ]
    return found


def _wrong(
    agent: Mapping[str, Any], agents: Sequence[Mapping[str, Any]], usual: str
) -> Iterator[tuple[str, str]]:
    """Give each wrong setting, and what is wrong with it."""
    own = agent.get("own_token", True)
    if not isinstance(own, bool):
        yield "own_token", f"has own_token {own!r}; write true or false"
        return
    if "token_user" in agent:
        if agent.get("waker") in TURN_WAKERS:
            yield "token_user", "has a token_user beside `user`, which reads its token; remove it"
        elif not USER.fullmatch(str(agent["token_user"])):
            yield "token_user", f"has token_user {agent['token_user']!r}, no name of a user"
        elif not own:
            yield "token_user", "has a token_user and own_token: false; remove one of them"
    user = _user(agent, usual)
    sharing = [str(one.get("name")) for one in agents if _user(one, usual) == user]
    if agent.get("own_token") and len(sharing) > 1:
        others = ", ".join(name for name in sharing if name != agent.get("name"))
        says = "give it one of its own (`user`, else `token_user`), or remove own_token"
        yield "own_token", f"runs as user {user} like {others}, who could read its token; {says}"


def _mapping(agent: object) -> dict[str, Any]:
    return agent if isinstance(agent, dict) else {"name": agent}


def _user(agent: Mapping[str, Any], usual: str) -> str:
    own = agent.get("user") if agent.get("waker") in TURN_WAKERS else agent.get("token_user")
    return str(own or usual)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"token_findings": token_findings}
