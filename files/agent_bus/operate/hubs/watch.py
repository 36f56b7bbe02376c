"""Looks after the hubs and their database: one look every few seconds, for all who tell of it.

A greenlet of its own asks the programs of the own host, then the database; nobody else waits for
them. A hub alone on SQLite has none. What the own host says goes to the other hubs with a beat, so
each hub knows all hosts without asking them.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from agent_bus.core import errors
from agent_bus.operate.backups import newest_at
from agent_bus.operate.hubs import facts
from agent_bus.operate.hubs.facts import ClusterState, HubState
from agent_bus.runtime import greenlets
from agent_bus.runtime.database_host import Etcd, Host, OwnHost, PatroniMember

if TYPE_CHECKING:
    from agent_bus.core.clock import Clock
    from agent_bus.settings import Settings
    from agent_bus.store.cluster import Cluster, HubFacts
    from agent_bus.store.contract import Replication, Vitals

T = TypeVar("T")

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
STALE_S: Final = 16.0
"""What another hub told of its host counts for this time: three looks."""


class HubsWatch:
    """See the module; used in the loop's thread."""

    def __init__(
        self, *, settings: Settings, cluster: Cluster, vitals: Vitals, clock: Clock, version: str
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._vitals = vitals
        self._clock = clock
        self._version = version
        self._host = Host()
        self._untold: dict[str, Any] = {}
        self._told: dict[str, _Told] = {}
        self._hubs: list[HubFacts] = []
        self._sql: Replication | None = None
        self._needed: int | None = None
        self._replies = facts.Replies()
        self._own = OwnHost(
            settings.hub_name,
            settings.patroni_url,
            settings.patroni_ca_file,
            settings.etcd_metrics_url,
        )
        self.is_fenced = False

    def start(self) -> None:
        """Begin to look, if there is anything to look at."""
        if self._cluster.is_plural:
            greenlets.spawn(self._run)

    @property
    def state(self) -> ClusterState | None:
        """All that is known now; None alone on SQLite. Never blocks."""
        if not self._cluster.is_plural:
            return None
        now = self._clock.monotonic()
        told = {name: one for name, one in self._told.items() if now - one.at < STALE_S}
        expected = self._expected()
        host = self._host
        writing = self._cluster.writing()
        acked_s = 0.0 if writing is None else writing.last_s_ago
        members = facts.members_of(
            expected if self._own.is_known else (),
            host,
            {name: one.member for name, one in told.items() if one.member is not None},
            self._sql,
        )
        etcds = facts.etcds_of(
            expected if self._settings.etcd_metrics_url else (),
            self._settings.hub_name,
            host,
            {name: one.etcd for name, one in told.items() if one.etcd is not None},
        )
        return ClusterState(
            hubs=self._hub_states(hears=acked_s <= facts.AWAY_S),
            members=members,
            etcds=etcds,
            needed=self._needed or facts.needed(None, len(members)),
            is_fenced=self.is_fenced,
            acked_s=acked_s,
            is_paused=host.is_paused,
        )

    def take_told(self) -> dict[str, Any]:
        """What the own host says, once after each look; for the other hubs."""
        told, self._untold = self._untold, {}
        return told

    def hear(self, process: str, host: dict[str, Any]) -> None:
        """Another hub told what its own host says; nothing in most of its beats."""
        if not host:
            return
        name = process.rpartition(":")[0]
        self._told[name] = _Told(
            self._clock.monotonic(),
            _made(Etcd, host.get("etcd")),
            _made(PatroniMember, host.get("patroni")),
            host.get("backup_at"),
        )

    def backup_at(self) -> int | None:
        """When the newest backup on another hub was made (ms), as far as one has told."""
        made = [one.backup_at for one in self._told.values() if one.backup_at is not None]
        return max(made, default=None)

    def look(self) -> None:
        """Ask the own host, then the database; blocks the greenlet."""
        self._untold = {"backup_at": newest_at(self._settings.backups_folder)}
        if self._own.is_known:
            self._host = host = self._own.ask()
            self._untold |= {
                "etcd": dataclasses.asdict(host.etcd or _NO_ETCD),
                "patroni": None if host.own is None else dataclasses.asdict(host.own),
            }
        try:
            self._hubs = self._cluster.hubs()
            sql = self._vitals.replication()
            self._sql = None if sql is None else self._replies.judged(sql, self._clock.monotonic())
            if sql is not None and sql.is_primary:
                self._needed = facts.needed(sql, 0)
        except errors.BusError as error:
            self._sql = None
            logger.info("The database does not say how it is: %s", error.detail)

    def _run(self) -> None:
        """The greenlet; an error is logged, and the next look tries again."""
        while True:
            try:
                self.look()
            except Exception:
                logger.exception("The hubs and their database could not be looked at")
            greenlets.sleep(LOOK_S)

    def _expected(self) -> list[str]:
        return sorted(hub.name for hub in self._settings.hubs) or [self._settings.hub_name]

    def _hub_states(self, *, hears: bool) -> tuple[HubState, ...]:
        urls: dict[str, str | None] = {hub.name: hub.url for hub in self._settings.hubs}
        known = {one.name: one for one in self._hubs}
        own = self._settings.hub_name
        found = []
        for name in sorted({own, *(urls or known)}):  # one that was taken out is known for a while
            one = known.get(name)
            is_live = None if not hears else one is not None and one.is_alive
            found.append(
                HubState(
                    name=name,
                    url=urls.get(name) or (one.url if one else None),
                    version=self._version if name == own else one.version if one else None,
                    is_live=True if name == own else is_live,
                    answers=name == own,
                    seen_at=(one.seen_at or None) if one else None,
                )
            )
        return tuple(found)


class _Told(NamedTuple):
    """What another hub told of its host, and when (monotonic)."""

    at: float
    etcd: Etcd | None
    member: PatroniMember | None
    backup_at: int | None


def _made(kind: type[T], said: dict[str, Any] | None) -> T | None:
    """A value of a dataclass as another hub told it; its release may know other fields."""
    if said is None:
        return None
    known = {one.name for one in dataclasses.fields(kind)}  # type: ignore[arg-type] # a dataclass
    try:
        return kind(**{name: value for name, value in said.items() if name in known})
    except TypeError:
        return None


_NO_ETCD: Final = Etcd(
    is_healthy=False, has_leader=False, is_leader=False, size_bytes=0, quota_bytes=0
)
