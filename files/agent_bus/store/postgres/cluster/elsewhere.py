"""Reads what other hubs did: their changes, the messages in them, and who holds which lease."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_bus.core.model import Delivery, MailboxCounts, Message, Sent, Seq
from agent_bus.store import cluster as told
from agent_bus.store import rows
from agent_bus.store.postgres.write import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from psycopg import Cursor

    from agent_bus.core.model import AgentName
    from agent_bus.store.postgres.link.connections import NativeConnection

    Wants = Callable[[Sequence[AgentName]], bool]

EARLIER: Final = "SELECT pos, hub, facts, boxes FROM change WHERE pos > %s ORDER BY pos"
"""Also run by the writer, behind the lock on `head`: then it finds all batches before its own."""
UP_TO: Final = (
    "SELECT pos, hub, facts, boxes FROM change WHERE pos > %s AND pos <= %s ORDER BY pos"
)
POS: Final = "SELECT pos FROM head"
BODIES: Final = f"SELECT {rows.MESSAGE_COLUMNS} FROM message m WHERE m.pk = ANY(%s)"
RECEIPTS: Final = (
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM delivery d"
    " JOIN message m ON m.pk = d.message_pk WHERE d.seq = ANY(%s) ORDER BY d.seq"
)
LEASES: Final = (
    "SELECT hub, node, term, since_at, version, gateways, unconfigured, gateway_kind FROM lease"
    " WHERE hub <> %s AND renewed_at > %s"
)
MUTES: Final = "SELECT agent, until_at FROM mute WHERE until_at > %s"
HUBS: Final = "SELECT name, process, url, version, seen_at FROM hub ORDER BY name"

RELEASE: Final = (
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a"
    " WHERE a.datname = current_database() AND a.usename = current_user"
    " AND a.wait_event = 'ClientRead' AND a.xact_start < clock_timestamp() - interval '1.5 s'"
    " AND a.pid IN (SELECT unnest(pg_blocking_pids(b.pid)) FROM pg_stat_activity b"
    " WHERE b.datname = current_database() AND b.wait_event_type = 'Lock')"
)
"""Ends sessions that keep others waiting for a lock while they wait for their own client: a hub
that was stopped in the middle of a batch. Never one that waits for a standby."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one batch did: its facts in order, and the counters of whom it touched after it."""

    pos: int
    hub: str
    facts: list[list[Any]]
    boxes: tuple[MailboxCounts, ...]
    bodies: dict[int, Message] = field(default_factory=dict)
    """Of the messages that are wanted, as far as they have been read."""


def changes(found: Iterable[Sequence[Any]]) -> list[Change]:
    """Changes from rows of EARLIER or UP_TO."""
    return [
        Change(pos, hub, json.loads(facts), rows.mailboxes(json.loads(boxes or "[]")))
        for pos, hub, facts, boxes in found
    ]


def ask(connection: NativeConnection, after: int) -> Cursor[Any]:
    """Ask for all changes after a position, behind the lock on `head`."""
    return connection.execute(EARLIER, (after,))


def up_to(
    connection: NativeConnection, after: int, pos: int, *, wants: Wants = lambda _: False
) -> list[Change]:
    """All changes after a position up to another one, with the bodies that are wanted."""
    return whole(connection, connection.execute(UP_TO, (after, pos)), wants)


def whole(
    connection: NativeConnection, found: Iterable[Sequence[Any]], wants: Wants
) -> list[Change]:
    """Changes from rows of EARLIER or UP_TO, with the bodies that are wanted.

    `wants` is asked in the reading thread. Whoever publishes asks again, in the loop.
    """
    listed = changes(found)
    places = {
        fact[1]: change
        for change in listed
        for fact in change.facts
        if fact[0] == facts.SENT and wants(fact[2])
    }
    if places:
        for pk, message in bodies(connection, list(places)).items():
            places[pk].bodies[pk] = message
    return listed


def position(connection: NativeConnection) -> int:
    """The newest batch's that can be seen."""
    (found,) = connection.execute(POS).fetchone() or (0,)
    return int(found)


def release(connection: NativeConnection) -> int:
    """Free the lock from hubs that were stopped while they held it; answers how many."""
    return len(connection.execute(RELEASE).fetchall())


def bodies(connection: NativeConnection, pks: Sequence[int]) -> dict[int, Message]:
    """Messages by their first seq."""
    found = connection.execute(BODIES, (list(pks),))
    return {int(message.first_seq): message for message in map(rows.message, found)}


def receipts(connection: NativeConnection, seqs: Sequence[int]) -> tuple[Delivery, ...]:
    """Deliveries by their seqs, in order."""
    return tuple(map(rows.joined, connection.execute(RECEIPTS, (list(seqs),))))


def leases(
    connection: NativeConnection, *, besides: str, since: int
) -> list[tuple[str, told.LeaseTaken]]:
    """(hub, lease) of all other hubs, renewed since a time (ms)."""
    return [
        (
            hub,
            told.LeaseTaken(
                node,
                term,
                since_at,
                version,
                json.loads(gateways),
                tuple(json.loads(unconfigured)),
                kind,
            ),
        )
        for hub, node, term, since_at, version, gateways, unconfigured, kind in connection.execute(
            LEASES, (besides, since)
        )
    ]


def mutes(connection: NativeConnection, *, now: int) -> list[told.Muted]:
    """All mutes that have not ended."""
    return [told.Muted(*row) for row in connection.execute(MUTES, (now,))]


class HubRow(NamedTuple):
    """A hub as it stands in its table; `seen_at` (ms) is 0 once it has stopped."""

    name: str
    process: str
    url: str | None
    version: str
    seen_at: int


def hubs(connection: NativeConnection) -> list[HubRow]:
    """All hubs."""
    return [HubRow(*row) for row in connection.execute(HUBS)]


def shown(row: HubRow, *, lives: bool) -> told.HubFacts:
    """A hub as others are told of it; one that has stopped does not live."""
    is_alive = row.seen_at > 0 and lives
    return told.HubFacts(row.name, row.url, row.version, is_alive=is_alive, seen_at=row.seen_at)


def sent(message: Message, agents: Sequence[Any]) -> Sent:
    """What another hub stored; the seqs of a message's deliveries follow one another."""
    deliveries = tuple(
        Delivery(Seq(message.first_seq + place), agent, message)
        for place, agent in enumerate(agents)
    )
    return Sent(message, deliveries, ())
