"""Bearer tokens: who is calling, and for which agents that token may act.

Only SHA-256 digests are kept. A token has 256 random bits, so a fast hash is safe; the digest is
still compared in constant time.

A node's token speaks for the node's agents, which share an operating-system user. An agent with a
user of its own may have a token of its own: then only that one speaks for it. The node's token
still *watches* the agent: the watcher holds the lease and wakes it, without reading its mail.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core import errors
from agent_bus.core.model import NodeName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent_bus.bus.directory import Directory
    from agent_bus.core.limits import RateLimiter
    from agent_bus.core.model import AgentName, Roster

DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a request's token.

    `node` is None for the admin token. `agent` is set if the token is that agent's own.
    """

    node: NodeName | None
    sha256: str
    agent: AgentName | None = None

    @property
    def is_admin(self) -> bool:
        """Whether this is the operator."""
        return self.node is None


NOBODY: Final = Principal(NodeName(""), "")
"""The caller of an endpoint that needs no token: a node without agents."""


class Authenticator:
    """Knows the digests of all valid tokens.

    Args:
        failures: how many wrong tokens each address may try; a valid token always passes.
    """

    def __init__(
        self,
        *,
        admin_digests: frozenset[str],
        directory: Directory,
        failures: RateLimiter,
        scraper_digests: frozenset[str] = frozenset(),
    ) -> None:
        self._admin = admin_digests
        self._scrapers = scraper_digests
        self._directory = directory
        self._failures = failures
        self._known: dict[str, tuple[str, Principal]] = {}
        self._known_of: Roster | None = None

    def authenticate(self, header: str | None, address: str) -> Principal:
        """The principal of an `Authorization` header.

        Raises:
            errors.UnauthenticatedError: no bearer token, or not a valid one.
            errors.AuthThrottledError: not valid, and too many such attempts from `address`.
        """
        return self.admit(digest_of(header), address)

    def admit(self, sha256: str, address: str) -> Principal:
        """The principal of a token, by the token's digest; empty: there is none.

        Raises:
            errors.UnauthenticatedError: as for `authenticate`.
            errors.AuthThrottledError: as for `authenticate`.
        """
        principal = self._find(sha256) if sha256 else None
        if principal is not None:
            return principal
        self.note_failure(address)
        if not sha256:
            raise errors.UnauthenticatedError(
                "Send `Authorization: Bearer <token>`; tokens of nodes and agents are in "
                "/etc/agent-bus."
            )
        raise errors.UnauthenticatedError(
            "The hub does not know this token; run `ansible-playbook site.yml` to bring the node "
            "up to date."
        )

    def note_failure(self, address: str) -> None:
        """Count a wrong secret of an address: a token, or that of a link.

        Raises:
            errors.AuthThrottledError: too many of them.
        """
        wait_s = self._failures.take(address)
        if wait_s > 0:
            raise errors.AuthThrottledError(wait_s)

    def renew(self, principal: Principal) -> Principal:
        """The token's current owner: it may have changed while the request waited. One look-up.

        Raises:
            errors.UnauthenticatedError: the token was revoked.
        """
        found = self._find(principal.sha256)
        if found is None:
            raise errors.UnauthenticatedError("This token was revoked while the call waited.")
        return found

    def require_scraper(self, header: str | None, address: str) -> None:
        """Accept a scrape token or the admin token.

        Raises:
            errors.ForbiddenError: a token of a node or an agent.
            errors.UnauthenticatedError: as for `authenticate`.
            errors.AuthThrottledError: as for `authenticate`.
        """
        sha256 = digest_of(header)
        if any(hmac.compare_digest(known, sha256) for known in self._scrapers):
            return
        if not self.authenticate(header, address).is_admin:
            raise errors.ForbiddenError("Only the admin token or a scrape token may do this.")

    def is_admin(self, sha256: str) -> bool:
        """Whether a digest is that of a valid admin token."""
        return any(hmac.compare_digest(known, sha256) for known in self._admin)

    def require_agent(self, principal: Principal, name: str | None, *, field: str) -> AgentName:
        """The agent that a request acts for.

        Raises:
            errors.SenderAmbiguousError: no name, and the token has not exactly one agent.
            errors.UnknownAgentError: nobody has this name.
            errors.ForbiddenError: another node's agent, or one with a token of its own.
        """
        own = self.speaks_for(principal)
        if name is None:
            if len(own) != 1:
                raise errors.SenderAmbiguousError(own, field=field)
            return own[0]
        agent = self._directory.require(name, field=field)
        if agent not in own:
            raise self.refusal(principal, [agent], field=field)
        return agent

    def refusal(
        self, principal: Principal, agents: Sequence[AgentName], *, field: str
    ) -> errors.ForbiddenError:
        """Why a token does not speak for these agents."""
        words = f"This token speaks for {', '.join(self.speaks_for(principal)) or 'no agent'}"
        words += f", not for {', '.join(agents)}."
        if principal.agent is None:
            for agent in agents:
                if agent in self._directory.private and agent in self.watches(principal):
                    words += f" {agent} has a token of its own, which its own user can read."
        return errors.ForbiddenError(words, field=field)

    def speaks_for(self, principal: Principal) -> tuple[AgentName, ...]:
        """The agents that a token sends and reads for; those of no other one matter to a call."""
        if principal.agent is not None:
            return (principal.agent,)
        return self._directory.spoken_for_by(principal.node)

    def watches(self, principal: Principal) -> tuple[AgentName, ...]:
        """The agents that a node's watcher wakes: all of the node. Nobody for other tokens."""
        if principal.agent is not None or principal.is_admin:
            return ()
        return self._directory.agents_of(principal.node)

    def owns(self, principal: Principal, agent: AgentName) -> bool:
        """Whether an agent is one of a token's."""
        return agent in self.speaks_for(principal)

    def _find(self, sha256: str) -> Principal | None:
        """The owner of a digest.

        A look-up by value leaks nothing: nobody who tries tokens can choose the bytes of their
        SHA-256. The comparison that accepts a caller takes constant time.
        """
        if self._directory.roster is not self._known_of:
            self._learn(self._directory.roster)
        known, principal = self._known.get(sha256, ("", NOBODY))
        return principal if hmac.compare_digest(known, sha256) else None

    def _learn(self, roster: Roster) -> None:
        """Index all digests that are valid with this roster."""
        found = {
            sha256: (sha256, Principal(node, sha256))
            for node, hashes in reversed(roster.tokens.items())
            for sha256 in hashes
        }
        found |= {
            sha256: (sha256, Principal(roster.agents[agent], sha256, agent))
            for agent, hashes in roster.agent_tokens.items()
            if agent in roster.agents  # an earlier release retires agents without looking here
            for sha256 in hashes
        }
        found |= {sha256: (sha256, Principal(None, sha256)) for sha256 in self._admin}
        self._known, self._known_of = found, roster


def digest_of(header: str | None) -> str:
    """The SHA-256 (hex) of the bearer token in an `Authorization` header; empty without one."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return ""
    return hashlib.sha256(token.strip().encode()).hexdigest()


def load_digests(path: Path) -> frozenset[str]:
    """The token digests in a file, one per line.

    Raises:
        errors.StartupError: the file cannot be read, is empty, or has a line that is no digest.
    """
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.StartupError(f"{path}: cannot be read: {error}") from error
    if not lines or not all(DIGEST.fullmatch(line) for line in lines):
        raise errors.StartupError(f"{path}: expected one SHA-256 in lower-case hex per line")
    return frozenset(lines)
