"""What a fact keeps in the tables, in the transaction that tells it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agent_bus.store import cluster as told

if TYPE_CHECKING:
    from collections.abc import Sequence

TAKE_LEASE: Final = (
    "INSERT INTO lease (node, hub, term, since_at, version, gateways, unconfigured, gateway_kind,"
    " renewed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (node) DO UPDATE SET"
    " hub = excluded.hub, term = excluded.term, since_at = excluded.since_at,"
    " version = excluded.version, gateways = excluded.gateways,"
    " unconfigured = excluded.unconfigured, gateway_kind = excluded.gateway_kind,"
    " renewed_at = excluded.renewed_at"
)
REPORT_LEASE: Final = (
    "UPDATE lease SET version = %s, gateways = %s, unconfigured = %s, gateway_kind = %s,"
    " renewed_at = %s WHERE node = %s"
)
DROP_LEASE: Final = "DELETE FROM lease WHERE node = %s AND hub = %s AND term = %s"
DROP_LEASES: Final = "DELETE FROM lease WHERE hub = %s"
RENEW_LEASES: Final = "UPDATE lease SET renewed_at = %s WHERE node = ANY(%s)"
KEEP_HUB: Final = (
    "INSERT INTO hub (name, process, url, version, seen_at) VALUES (%s, %s, %s, %s, %s)"
    " ON CONFLICT (name) DO UPDATE SET process = excluded.process, url = excluded.url,"
    " version = excluded.version, seen_at = excluded.seen_at"
)
END_HUB: Final = "UPDATE hub SET seen_at = 0 WHERE process = %s"
FORGET_LEASES: Final = "DELETE FROM lease WHERE renewed_at < %s"
FORGET_HUBS: Final = "DELETE FROM hub WHERE seen_at < %s AND name <> %s"
MUTE: Final = (
    "INSERT INTO mute (agent, until_at) VALUES (%s, %s)"
    " ON CONFLICT (agent) DO UPDATE SET until_at = excluded.until_at"
)
UNMUTE: Final = "DELETE FROM mute WHERE agent = %s OR until_at < %s"
PUT_PAUSE: Final = (
    "INSERT INTO hold (scope, name, reason, since_at, until_at, note)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (scope, name) DO UPDATE SET"
    " reason = excluded.reason, since_at = excluded.since_at, until_at = excluded.until_at,"
    " note = excluded.note"
)
END_PAUSE: Final = "DELETE FROM hold WHERE scope = %s AND name = %s"
PRUNE: Final = "DELETE FROM change WHERE pos < %s"
KEEP_LINK: Final = (
    "INSERT INTO login_link (sha256, token_sha256, expires_at) VALUES (%s, %s, %s)"
    " ON CONFLICT (sha256) DO NOTHING"
)
DROP_LINKS: Final = "DELETE FROM login_link WHERE expires_at < %s"
TAKE_LINK: Final = (
    "DELETE FROM login_link WHERE sha256 = %s AND expires_at >= %s RETURNING token_sha256"
)


class Statement(NamedTuple):
    """SQL with its values."""

    sql: str
    values: Sequence[Any]


class Me(NamedTuple):
    """What a hub's row says of it."""

    name: str
    process: str
    url: str | None
    version: str


def of(fact: told.Fact, me: Me, *, now: int) -> list[Statement]:
    """The statements that keep a fact of hub `me`; `now` in ms."""
    found: list[Statement] = []
    match fact:
        case told.LeaseTaken():
            values = (fact.node, me.process, fact.term, fact.since_at, *_state(fact), now)
            found = [Statement(TAKE_LEASE, values)]
        case told.LeaseReported():
            found = [Statement(REPORT_LEASE, (*_state(fact), now, fact.node))]
        case told.LeaseDropped():
            found = [Statement(DROP_LEASE, (fact.node, me.process, fact.term))]
        case told.Muted(agent, until_at) if until_at:
            found = [Statement(MUTE, (agent, until_at))]
        case told.Muted(agent):
            found = [Statement(UNMUTE, (agent, now))]
        case told.PausePut():
            values = (
                fact.scope, fact.name, fact.reason, fact.since_at, fact.until_at, fact.note,
            )  # fmt: skip
            found = [Statement(PUT_PAUSE, values)]
        case told.PauseEnded(scope, name):
            found = [Statement(END_PAUSE, (scope, name))]
        case told.HubEnded(process):
            found = [Statement(DROP_LEASES, (process,)), Statement(END_HUB, (process,))]
        case told.Beat():
            found = _beat(fact, me, now)
    return found


def _beat(beat: told.Beat, me: Me, now: int) -> list[Statement]:
    found = [Statement(KEEP_HUB, (me.name, me.process, me.url, me.version, now))]
    if beat.renewed:
        found.append(Statement(RENEW_LEASES, (now, list(beat.renewed))))
    return found


def _state(fact: told.LeaseTaken | told.LeaseReported) -> tuple[Any, ...]:
    return (
        fact.version,
        json.dumps(fact.gateways),
        json.dumps(fact.unconfigured),
        fact.gateway_kind,
    )
