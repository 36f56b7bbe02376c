"""What is known of the hubs and their database, put together. Pure: nothing is asked here."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent_bus.core.alerts import HubsFigures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent_bus.runtime.database_host import Etcd, Host, PatroniMember
    from agent_bus.store.contract import Replication, Standby

PRIMARY: Final = "primary"
STANDBY: Final = "standby"
LOST: Final = "lost"
"""The state of a member of whom nobody hears."""
SILENT: Final = "silent"
"""The state of a standby that the primary still lists, and that replies no more."""
UNKNOWN: Final = "not known"
"""The state of a member that is listed from a time when etcd had a majority."""
SILENT_S: Final = 15.0
"""A standby replies at least every 10 s; the primary drops a silent one after 60 s."""
AWAY_S: Final = 3.0
"""A hub writes every two seconds; without an acknowledgement for longer, it has no primary."""


@dataclass(frozen=True, slots=True)
class HubState:
    """A hub. `is_live` is None while this one hears nothing itself; `seen_at` in ms."""

    name: str
    url: str | None
    version: str | None
    is_live: bool | None
    answers: bool
    seen_at: int | None


@dataclass(frozen=True, slots=True)
class MemberState:
    """A server of the database; lag is None where it is not known, and for the primary."""

    name: str
    host: str | None
    role: str | None
    state: str
    is_there: bool
    is_sync: bool
    timeline: int | None
    lag_bytes: int | None
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class EtcdState:
    """The etcd of one host; `is_healthy` is None where nobody says."""

    name: str
    is_healthy: bool | None
    has_leader: bool
    is_leader: bool
    size_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All of it, as one hub knows it. `needed` of `members` must be there for any commit."""

    hubs: tuple[HubState, ...]
    members: tuple[MemberState, ...]
    etcds: tuple[EtcdState, ...]
    needed: int
    is_fenced: bool
    acked_s: float
    is_paused: bool

    @property
    def is_plural(self) -> bool:
        """Whether there is more than one hub, or more than one server of the database."""
        return len(self.hubs) > 1 or len(self.members) > 1

    @property
    def live_count(self) -> int:
        """Hubs that live."""
        return sum(hub.is_live is True for hub in self.hubs)

    @property
    def there_count(self) -> int:
        """Members that are there."""
        return sum(member.is_there for member in self.members)

    @property
    def primary(self) -> MemberState | None:
        """The member that takes writes, while it does."""
        if self.without_primary_s:
            return None
        return next((one for one in self.members if one.role == PRIMARY), None)

    @property
    def without_primary_s(self) -> float:
        """For how long this hub has reached no primary; 0 while it does."""
        return self.acked_s if self.acked_s > AWAY_S else 0.0

    @property
    def healthy_count(self) -> int:
        """Members of etcd that are healthy."""
        return sum(etcd.is_healthy is True for etcd in self.etcds)

    @property
    def etcd_leader(self) -> str | None:
        """The member of etcd that leads."""
        return next((one.name for one in self.etcds if one.is_leader), None)

    @property
    def figures(self) -> HubsFigures:
        """What the rules of alerts look at."""
        return HubsFigures(
            name=next(hub.name for hub in self.hubs if hub.answers),
            lost_hubs=tuple(hub.name for hub in self.hubs if hub.is_live is False),
            is_fenced=self.is_fenced,
            lost_members=tuple(one.name for one in self.members if not one.is_there),
            member_count=len(self.members),
            there=self.there_count,
            needed=self.needed,
            without_primary_s=self.without_primary_s,
            lag_bytes={o.name: o.lag_bytes for o in self.members if o.lag_bytes is not None},
            silent_etcds=tuple(one.name for one in self.etcds if one.is_healthy is False),
            has_etcd_leader=self.has_etcd_leader,
            etcd_used={o.name: o.size_bytes / o.quota_bytes for o in self.etcds if o.quota_bytes},
        )

    @property
    def has_etcd_leader(self) -> bool:
        """Whether any member of etcd knows a leader; without etcd, there is nothing to know."""
        told = [one for one in self.etcds if one.is_healthy is not None]
        return not told or any(one.has_leader for one in told)


class Replies:
    """Remembers since when each standby has sent no new reply.

    It compares what one standby said with what it said before, so clocks may differ.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[float | None, float]] = {}

    def judged(self, sql: Replication, now: float) -> Replication:
        """What the primary says, with those standbys as silent that reply no more."""
        since = {}
        for one in sql.standbys:
            before, at = self._since.get(one.name, (None, now))
            since[one.name] = (one.replied_at, at if before == one.replied_at else now)
        self._since = since
        judged = tuple(
            dataclasses.replace(one, state=SILENT)
            if one.replied_at is not None and now - since[one.name][1] > SILENT_S
            else one
            for one in sql.standbys
        )
        return dataclasses.replace(sql, standbys=judged)


def members_of(
    expected: Sequence[str],
    host: Host,
    told: Mapping[str, PatroniMember],
    sql: Replication | None,
) -> tuple[MemberState, ...]:
    """The database's members, from all that is known, by name.

    Args:
        expected: who should be there.
        host: what the own Patroni says.
        told: what other hubs have just told of their own Patroni.
        sql: what PostgreSQL says, if it was reached.
    """
    primary_says = sql if sql is not None and sql.is_primary else None
    standbys = {one.name: one for one in primary_says.standbys} if primary_says else {}
    patroni = {**told, **{one.name: one for one in host.members or ()}}
    if host.etcd is not None and not host.etcd.has_leader:  # what Patroni read last is old
        patroni = {name: dataclasses.replace(one, state=UNKNOWN) for name, one in patroni.items()}
        patroni |= told
    if host.own is not None and patroni.get(host.own.name, host.own).state == UNKNOWN:
        patroni[host.own.name] = host.own
    if host.own is not None:
        patroni.setdefault(host.own.name, host.own)
    names = sorted({*expected, *patroni, *standbys})
    found = [
        _member(name, patroni.get(name), standbys.get(name), has_primary=primary_says is not None)
        for name in names
    ]
    if primary_says is not None and not any(one.role == PRIMARY for one in found):
        found.insert(0, _server(primary_says))
    return tuple(found)


def needed(sql: Replication | None, count: int) -> int:
    """How many members must be there for a commit: the primary, and whom it waits for."""
    return count // 2 + 1 if sql is None or not sql.is_primary else 1 + sql.needed


def _member(
    name: str, patroni: PatroniMember | None, standby: Standby | None, *, has_primary: bool
) -> MemberState:
    host, timeline = (None, None) if patroni is None else (patroni.host, patroni.timeline)
    if standby is not None:
        lag_bytes = standby.lag_bytes
        if lag_bytes is None and patroni is not None:
            lag_bytes = patroni.lag_bytes
        is_sync = standby.is_sync or (patroni is not None and patroni.is_sync)
        # its state is hidden from a role that may not see it, but it is connected
        state, is_there = standby.state or "connected", standby.state in {"", "streaming"}
        return MemberState(
            name, host, STANDBY, state, is_there, is_sync, timeline, lag_bytes, standby.lag_s
        )
    if patroni is None:
        return MemberState(
            name, None, None, LOST, is_there=False, is_sync=False, timeline=None,
            lag_bytes=None, lag_s=None,
        )  # fmt: skip
    is_cut_off = has_primary and not patroni.is_leader  # the primary knows no such standby
    return MemberState(
        name,
        host,
        PRIMARY if patroni.is_leader else STANDBY,
        "not connected" if is_cut_off and patroni.runs else patroni.state,
        is_there=not is_cut_off and (patroni.runs or (has_primary and patroni.is_leader)),
        is_sync=patroni.is_sync,
        timeline=timeline,
        lag_bytes=None if patroni.is_leader else patroni.lag_bytes,
        lag_s=None,
    )


def _server(sql: Replication) -> MemberState:
    """A primary of which nothing but its own word is known."""
    return MemberState(
        sql.server or PRIMARY, sql.server or None, PRIMARY, "running", is_there=True,
        is_sync=False, timeline=sql.timeline, lag_bytes=None, lag_s=None,
    )  # fmt: skip


def etcds_of(
    expected: Sequence[str], own: str, host: Host, told: Mapping[str, Etcd]
) -> tuple[EtcdState, ...]:
    """The members of etcd, by name; `told` is what other hubs have just told of theirs."""
    found = []
    for name in expected:
        etcd = host.etcd if name == own else told.get(name)
        if etcd is None:
            # on the own host a silent one is down; of another's nobody knows
            is_healthy = False if name == own else None
            found.append(EtcdState(name, is_healthy, False, False, 0, 0))
        else:
            found.append(
                EtcdState(
                    name,
                    etcd.is_healthy,
                    etcd.has_leader,
                    etcd.is_leader,
                    etcd.size_bytes,
                    etcd.quota_bytes,
                )
            )
    return tuple(found)
