"""The stored roster: who lives where, in which groups, with which tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.model import OPERATOR, Agent, AgentName, Ages, NodeName, Roster, RosterChange
from agent_bus.store import roster_change

if TYPE_CHECKING:
    import apsw

AGENTS: Final = "SELECT name, node, retired_at, last_seen_at FROM agent ORDER BY name"
MEMBERS: Final = "SELECT group_name, agent FROM group_member ORDER BY group_name, agent"
TOKENS: Final = "SELECT node, sha256 FROM node_token ORDER BY node, sha256"
PUT_AGENT: Final = (
    "INSERT INTO agent (name, node, registered_at) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (name) DO UPDATE SET node = excluded.node, retired_at = NULL"
)
PUT_MAILBOX: Final = "INSERT INTO mailbox (agent) VALUES (?) ON CONFLICT DO NOTHING"
RETIRE: Final = "UPDATE agent SET retired_at = ? WHERE name = ?"
REJECT_TASKS: Final = (
    "UPDATE task SET state = 'rejected', updated_at = ? WHERE agent = ? AND state = 'open'"
)
DROP_MEMBERS: Final = "DELETE FROM group_member"
PUT_MEMBER: Final = "INSERT INTO group_member (group_name, agent) VALUES (?, ?)"
BEGUN: Final = "SELECT min(registered_at) FROM agent WHERE registered_at > 0"
# `meta` holds which nodes are guests, and since when a node has two tokens; every earlier release
# has that table, too.
GUESTS: Final = "SELECT substr(key, 7) FROM meta WHERE key GLOB 'guest:*'"
DROP_GUESTS: Final = "DELETE FROM meta WHERE key GLOB 'guest:*'"
PUT_GUEST: Final = "INSERT INTO meta (key, value) VALUES ('guest:' || ?, '1')"
ROTATIONS: Final = (
    "SELECT substr(key, 10), CAST(value AS INTEGER) FROM meta WHERE key GLOB 'rotation:*'"
)
END_ROTATION: Final = "DELETE FROM meta WHERE key = 'rotation:' || ?"
NOTE_ROTATIONS: Final = (
    "INSERT INTO meta (key, value) SELECT 'rotation:' || node, ? FROM node_token WHERE true"
    " GROUP BY node HAVING count(*) > 1 ON CONFLICT (key) DO NOTHING"
)
OLDEST_ARCHIVED: Final = "SELECT min(archived_at) FROM archive_message"
POLICIES: Final = "SELECT name, rules FROM policy ORDER BY name"
DROP_POLICIES: Final = "DELETE FROM policy"
PUT_POLICY: Final = "INSERT INTO policy (name, rules) VALUES (?, ?)"
DROP_DIGESTS: Final = "DELETE FROM node_token"
KEEP_DIGEST: Final = "INSERT INTO node_token (node, sha256) VALUES (?, ?)"
AGENT_TOKENS: Final = "SELECT agent, sha256, node_too FROM agent_token ORDER BY agent, sha256"
DROP_AGENT_DIGESTS: Final = "DELETE FROM agent_token"
KEEP_AGENT_DIGEST: Final = "INSERT INTO agent_token (agent, sha256, node_too) VALUES (?, ?, ?)"
# An agent may have the name of a node, so its rotation has a key of another kind.
AGENT_ROTATIONS: Final = (
    "SELECT substr(key, 16), CAST(value AS INTEGER) FROM meta WHERE key GLOB 'agent-rotation:*'"
)
END_AGENT_ROTATION: Final = "DELETE FROM meta WHERE key = 'agent-rotation:' || ?"
NOTE_AGENT_ROTATIONS: Final = (
    "INSERT INTO meta (key, value) SELECT 'agent-rotation:' || agent, ? FROM agent_token"
    " WHERE true GROUP BY agent HAVING count(*) > 1 ON CONFLICT (key) DO NOTHING"
)
SEEN: Final = "UPDATE agent SET last_seen_at = ? WHERE name = ?"


def load(connection: apsw.Connection) -> tuple[Roster, list[Agent]]:
    """The roster of active agents, and all agents: retired ones and the operator, too."""
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
    connection: apsw.Connection, new: Roster, *, force: bool, dry_run: bool, now: int
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
    for name in (*change.registered, *change.revived, *change.moved):
        connection.execute(PUT_AGENT, (name, new.agents[name], now))
        connection.execute(PUT_MAILBOX, (name,))
    for name in change.retired:
        connection.execute(RETIRE, (now, name))
        connection.execute(REJECT_TASKS, (now, name))
    connection.execute(DROP_MEMBERS)
    for group, members in new.groups.items():
        connection.executemany(PUT_MEMBER, [(group, member) for member in set(members)])
    connection.execute(DROP_DIGESTS)
    for node, hashes in new.tokens.items():
        connection.executemany(KEEP_DIGEST, [(node, sha256) for sha256 in set(hashes)])
    connection.execute(DROP_GUESTS)
    connection.executemany(PUT_GUEST, [(node,) for node in new.guests])
    connection.execute(DROP_POLICIES)
    connection.executemany(PUT_POLICY, new.policies.items())
    for node in change.tokens_changed:
        connection.execute(END_ROTATION, (node,))
    connection.execute(NOTE_ROTATIONS, (str(now),))
    connection.execute(DROP_AGENT_DIGESTS)
    for agent, hashes in new.agent_tokens.items():
        is_node_too = int(agent in new.node_too)
        rows = [(agent, sha256, is_node_too) for sha256 in set(hashes)]
        connection.executemany(KEEP_AGENT_DIGEST, rows)
    for agent in change.agent_tokens_changed:
        if set(old.agent_tokens.get(agent, ())) != set(new.agent_tokens.get(agent, ())):
            connection.execute(END_AGENT_ROTATION, (agent,))
    connection.execute(NOTE_AGENT_ROTATIONS, (str(now),))
    return change, load(connection)


def ages(connection: apsw.Connection) -> Ages:
    """See `Vitals.ages`."""
    return Ages(
        rotating={NodeName(node): at for node, at in connection.execute(ROTATIONS)},
        rotating_agents={AgentName(a): at for a, at in connection.execute(AGENT_ROTATIONS)},
        archived_at=next(iter(connection.execute(OLDEST_ARCHIVED)))[0],
        begun_at=next(iter(connection.execute(BEGUN)))[0],
    )


def touch(connection: apsw.Connection, seen: dict[AgentName, int]) -> None:
    """Keep when agents were last seen."""
    connection.executemany(SEEN, [(at, name) for name, at in seen.items() if name != OPERATOR])
