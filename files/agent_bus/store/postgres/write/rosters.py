"""The stored roster: who lives where, in which groups, with which tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import OPERATOR, Agent, AgentName, NodeName, Roster, RosterChange
from agent_bus.store import roster_change

if TYPE_CHECKING:
    from psycopg import Connection

    from agent_bus.store.postgres.link.connections import NativeConnection

AGENTS: Final = "SELECT name, node, retired_at, last_seen_at FROM agent ORDER BY name"
MEMBERS: Final = "SELECT group_name, agent FROM group_member ORDER BY group_name, agent"
TOKENS: Final = "SELECT node, sha256 FROM node_token ORDER BY node, sha256"
PUT_AGENTS: Final = (
    "INSERT INTO agent (name, node, registered_at)"
    " SELECT name, node, %s FROM unnest(%s::text[], %s::text[]) AS w(name, node)"
    " ON CONFLICT (name) DO UPDATE SET node = excluded.node, retired_at = NULL"
)
PUT_MAILBOXES: Final = (
    "INSERT INTO mailbox (agent) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING"
)
RETIRE: Final = "UPDATE agent SET retired_at = %s WHERE name = ANY(%s)"
REJECT_TASKS: Final = (
    "UPDATE task SET state = 'rejected', updated_at = %s WHERE agent = ANY(%s) AND state = 'open'"
)
DROP_MEMBERS: Final = "DELETE FROM group_member"
PUT_MEMBERS: Final = (
    "INSERT INTO group_member (group_name, agent)"
    " SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
)
DROP_DIGESTS: Final = "DELETE FROM node_token"
KEEP_DIGESTS: Final = (
    "INSERT INTO node_token (node, sha256)"
    " SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
)
# `meta` also holds which nodes are guests: every earlier release has that table.
GUESTS: Final = "SELECT substr(key, 7) FROM meta WHERE starts_with(key, 'guest:')"
DROP_GUESTS: Final = "DELETE FROM meta WHERE starts_with(key, 'guest:')"
PUT_GUESTS: Final = "INSERT INTO meta (key, value) SELECT 'guest:' || unnest(%s::text[]), '1'"
POLICIES: Final = "SELECT name, rules FROM policy ORDER BY name"
DROP_POLICIES: Final = "DELETE FROM policy"
PUT_POLICIES: Final = (
    "INSERT INTO policy (name, rules) SELECT * FROM unnest(%s::text[], %s::text[])"
)
END_ROTATIONS: Final = "DELETE FROM meta WHERE key = ANY(%s)"
NOTE_ROTATIONS: Final = (
    "INSERT INTO meta (key, value) SELECT 'rotation:' || node, %s FROM node_token"
    " GROUP BY node HAVING count(*) > 1 ON CONFLICT (key) DO NOTHING"
)
AGENT_TOKENS: Final = "SELECT agent, sha256, node_too FROM agent_token ORDER BY agent, sha256"
DROP_AGENT_DIGESTS: Final = "DELETE FROM agent_token"
KEEP_AGENT_DIGESTS: Final = (
    "INSERT INTO agent_token (agent, sha256, node_too)"
    " SELECT agent, sha256, (agent = ANY(%s))::int"
    " FROM unnest(%s::text[], %s::text[]) AS w(agent, sha256)"
    " ON CONFLICT DO NOTHING"
)
# An agent may have the name of a node, so its rotation has a key of another kind.
NOTE_AGENT_ROTATIONS: Final = (
    "INSERT INTO meta (key, value) SELECT 'agent-rotation:' || agent, %s FROM agent_token"
    " GROUP BY agent HAVING count(*) > 1 ON CONFLICT (key) DO NOTHING"
)
SEEN: Final = (
    "UPDATE agent a SET last_seen_at = w.at FROM unnest(%s::text[], %s::bigint[]) AS w(name, at)"
    " WHERE a.name = w.name"
)


def load(connection: Connection[Any]) -> tuple[Roster, list[Agent]]:
    """The roster of active agents, and all agents: retired ones and the operator, too.

    In one transaction, or what it answers may mix two rosters.
    """
    agents = [Agent(*row) for row in connection.execute(AGENTS)]
    members, tokens = connection.execute(MEMBERS), connection.execute(TOKENS)
    guests = [(NodeName(node),) for (node,) in connection.execute(GUESTS)]
    policies = connection.execute(POLICIES)
    own = [
        (AgentName(agent), sha256, too) for agent, sha256, too in connection.execute(AGENT_TOKENS)
    ]
    roster = roster_change.assembled(
        agents, members, tokens, guests, policies=policies, agent_tokens=own
    )
    return roster, agents


def put(
    connection: NativeConnection, new: Roster, *, force: bool, dry_run: bool, now: int
) -> tuple[RosterChange, tuple[Roster, list[Agent]] | None]:
    """Replace the stored roster by `new`; unread mail of retired agents stays.

    Returns:
        The change, and what is stored then (None when nothing was written). It is read in the
        same transaction, because two rosters may come at once.
    """
    old, known = load(connection)
    change = roster_change.between(old, known, new, force=force)
    if dry_run or not change.changed:
        return change, None
    names = [*change.registered, *change.revived, *change.moved]
    connection.execute(PUT_AGENTS, (now, names, [new.agents[name] for name in names]))
    connection.execute(PUT_MAILBOXES, (names,))
    connection.execute(RETIRE, (now, list(change.retired)))
    connection.execute(REJECT_TASKS, (now, list(change.retired)))
    connection.execute(DROP_MEMBERS)
    connection.execute(PUT_MEMBERS, _columns(new.groups))
    connection.execute(DROP_DIGESTS)
    connection.execute(KEEP_DIGESTS, _columns(new.tokens))
    connection.execute(DROP_GUESTS)
    connection.execute(PUT_GUESTS, (sorted(new.guests),))
    connection.execute(DROP_POLICIES)
    connection.execute(PUT_POLICIES, (list(new.policies), list(new.policies.values())))
    connection.execute(DROP_AGENT_DIGESTS)
    connection.execute(KEEP_AGENT_DIGESTS, (sorted(new.node_too), *_columns(new.agent_tokens)))
    ended = [f"rotation:{node}" for node in change.tokens_changed]
    ended += [
        f"agent-rotation:{agent}"
        for agent in change.agent_tokens_changed
        if set(old.agent_tokens.get(agent, ())) != set(new.agent_tokens.get(agent, ()))
    ]
    connection.execute(END_ROTATIONS, (ended,))
    connection.execute(NOTE_ROTATIONS, (str(now),))
    connection.execute(NOTE_AGENT_ROTATIONS, (str(now),))
    return change, load(connection)


def touch(connection: NativeConnection, seen: dict[AgentName, int]) -> None:
    """Keep when agents were last seen."""
    kept = {name: at for name, at in seen.items() if name != OPERATOR}
    connection.execute(SEEN, (list(kept), list(kept.values())))


def _columns(many: dict[Any, tuple[Any, ...]]) -> tuple[list[str], list[str]]:
    """Pairs of a key and each of its values, as two columns."""
    pairs = [(key, value) for key, values in many.items() for value in values]
    return [key for key, _ in pairs], [value for _, value in pairs]
