"""The dashboard's alerts: what is wrong with the fleet, without Prometheus.

Pure: figures and times are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from agent_bus.core.alerts.rules import (
    ARCHIVE_S,
    BACKUP_S,
    CERTIFICATE_LAST_S,
    CERTIFICATE_S,
    CHANNEL_FAILURES,
    COMMIT_S,
    DAY_S,
    DISK_BYTES,
    DISK_FULL_S,
    ETCD_USED,
    LAG_BYTES,
    NO_PRIMARY_S,
    QUEUE_EVENTS,
    REFUSED,
    ROTATION_S,
    RULES,
    UNREAD_S,
    WAL_BYTES,
    WEBHOOK_S,
    Rule,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class HubsFigures:
    """Of several hubs and their database; `needed` members must be `there` for a commit."""

    name: str
    lost_hubs: tuple[str, ...]
    is_fenced: bool
    lost_members: tuple[str, ...]
    member_count: int
    there: int
    needed: int
    without_primary_s: float
    lag_bytes: Mapping[str, int]
    silent_etcds: tuple[str, ...]
    has_etcd_leader: bool
    etcd_used: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the rules look at. `silent_nodes` have no watcher, `deaf_gateways` are agents.

    `hubs` is empty for a hub that is alone. Webhooks: since when the oldest event waits, and how
    long ago one was given up. Channels: attempts in a row that failed. `escalated`: how many
    urgent messages of an agent are unread though the operator was told.
    """

    silent_nodes: tuple[str, ...]
    deaf_gateways: tuple[str, ...]
    oldest_unread_s: Mapping[str, float]
    disk_full_5m: float
    refused_5m: float
    commit_p99_s: float
    wal_bytes: int
    queue_events_max: int
    certificates_s: Mapping[str, float]
    disk_free_bytes: int
    disk_full_s: float | None
    rotating_s: Mapping[str, float]
    backup_age_s: float
    archive_over_s: float
    hubs: tuple[HubsFigures, ...] = ()
    webhooks_waiting_s: Mapping[str, float] = field(default_factory=dict)
    webhooks_lost_s: Mapping[str, float] = field(default_factory=dict)
    channel_failures: Mapping[str, int] = field(default_factory=dict)
    storms_held: int = 0
    budgets_spent: tuple[str, ...] = ()
    paused_count: int = 0
    escalated: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that holds now. `subject` is a node or agent, empty for the hub itself."""

    rule: Rule
    subject: str
    words: str


def holding(figures: Figures) -> Iterator[Alert]:
    """All alerts that hold at this moment, for however long."""
    for node in figures.silent_nodes:
        yield Alert(RULES["AgentBusWatcherGone"], node, f"No watcher is connected from {node}")
    for agent in figures.deaf_gateways:
        yield Alert(RULES["AgentBusGatewayDown"], agent, f"The gateway of {agent} is down")
    for agent, age_s in figures.oldest_unread_s.items():
        if age_s > UNREAD_S:
            words = f"{agent} has mail unread for {age_s / 60:.0f} min"
            yield Alert(RULES["AgentBusMailUnread"], agent, words)
    if figures.disk_full_5m > 0:
        yield Alert(RULES["AgentBusDiskFull"], "", "The hub's disk is full")
    if figures.commit_p99_s > COMMIT_S:
        words = f"One commit in a hundred takes over {figures.commit_p99_s * 1000:.0f} ms"
        yield Alert(RULES["AgentBusCommitSlow"], "", words)
    if figures.wal_bytes > WAL_BYTES:
        words = f"The write-ahead log has {figures.wal_bytes / 1e6:.0f} MB"
        yield Alert(RULES["AgentBusWalLarge"], "", words)
    if figures.queue_events_max > QUEUE_EVENTS:
        words = f"{figures.queue_events_max} events wait for the slowest stream"
        yield Alert(RULES["AgentBusStreamBehind"], "", words)
    if figures.refused_5m > REFUSED:
        words = f"{figures.refused_5m:.0f} requests with a wrong token in five minutes"
        yield Alert(RULES["AgentBusTokensRefused"], "", words)
    yield from _running_out(figures)
    yield from _of_outward(figures)
    yield from _of_guards(figures)
    yield from chain(*map(_of_hubs, figures.hubs), *map(_of_etcd, figures.hubs))


def _of_outward(figures: Figures) -> Iterator[Alert]:
    for name, waits_s in figures.webhooks_waiting_s.items():
        if waits_s > WEBHOOK_S:
            words = f"Events for the webhook {name} have waited for {waits_s / 60:.0f} min"
            yield Alert(RULES["AgentBusWebhookFailing"], name, words)
    for name, lost_s in figures.webhooks_lost_s.items():
        if lost_s < DAY_S:
            words = f"Events for the webhook {name} were given up"
            yield Alert(RULES["AgentBusWebhookLost"], name, words)
    for name, failures in figures.channel_failures.items():
        if failures >= CHANNEL_FAILURES:
            words = f"The channel {name} fails: {failures} attempts in a row"
            yield Alert(RULES["AgentBusChannelFailing"], name, words)
    for name, count in figures.escalated.items():
        words = f"Urgent mail of {name} is unread though all were told who should be: {count}"
        yield Alert(RULES["AgentBusUrgentUnread"], name, words)


def _of_guards(figures: Figures) -> Iterator[Alert]:
    for who in figures.budgets_spent:
        yield Alert(RULES["AgentBusBudgetSpent"], who, f"The wake budget of {who} is spent")
    if figures.paused_count > 0:
        yield Alert(RULES["AgentBusPaused"], "", f"Agents are paused: {figures.paused_count}")
    if figures.storms_held > 0:
        yield Alert(RULES["AgentBusStorm"], "", f"Storms are held: {figures.storms_held}")


def _running_out(figures: Figures) -> Iterator[Alert]:
    """What becomes a problem if nobody acts; see `operate/reserves.py`."""
    for name, left_s in figures.certificates_s.items():
        ends = f"ends in {left_s // DAY_S:.0f} days" if left_s > 0 else "has ended"
        words = f"The certificate of the {name} {ends}"
        if left_s < CERTIFICATE_LAST_S:
            yield Alert(RULES["AgentBusCertificateLastDays"], name, words)
        elif left_s < CERTIFICATE_S:
            yield Alert(RULES["AgentBusCertificateExpiring"], name, words)
    if figures.disk_free_bytes < DISK_BYTES:
        words = f"The hub's disk has {figures.disk_free_bytes / 1e6:.0f} MB left"
        yield Alert(RULES["AgentBusDiskLow"], "", words)
    if figures.disk_full_s is not None and figures.disk_full_s < DISK_FULL_S:
        words = f"The hub's disk will be full in {figures.disk_full_s / 3600:.0f} hours"
        yield Alert(RULES["AgentBusDiskFilling"], "", words)
    for node, since_s in figures.rotating_s.items():
        if since_s > ROTATION_S:
            since = f"for {since_s / 3600:.0f} hours"
            words = f"The old token of {node} has been valid beside the new one {since}"
            yield Alert(RULES["AgentBusTokensInRotation"], node, words)
    if figures.backup_age_s > BACKUP_S:
        words = f"No backup was made for {figures.backup_age_s / DAY_S:.0f} days"
        yield Alert(RULES["AgentBusBackupOld"], "", words)
    if figures.archive_over_s > ARCHIVE_S:
        words = f"The archive holds mail {figures.archive_over_s / DAY_S:.0f} days too long"
        yield Alert(RULES["AgentBusArchiveBehind"], "", words)


def _of_hubs(hubs: HubsFigures) -> Iterator[Alert]:
    """What is wrong with the hubs and with the database that they share."""
    for hub in hubs.lost_hubs:
        yield Alert(RULES["AgentBusHubLost"], hub, f"The hub {hub} is not heard")
    if hubs.is_fenced:
        yield Alert(RULES["AgentBusHubFenced"], hubs.name, f"The hub {hubs.name} is fenced")
    for member in hubs.lost_members:
        words = f"The database's member {member} is not there"
        yield Alert(RULES["AgentBusDatabaseMemberLost"], member, words)
    if hubs.there < hubs.needed and hubs.member_count:
        words = f"{hubs.there} members of the database are there, and {hubs.needed} are needed"
        yield Alert(RULES["AgentBusQuorumLost"], "", words)
    if hubs.without_primary_s > NO_PRIMARY_S:
        words = f"There has been no primary for {hubs.without_primary_s:.0f} s"
        yield Alert(RULES["AgentBusNoPrimary"], "", words)
    for member, lag_bytes in hubs.lag_bytes.items():
        if lag_bytes > LAG_BYTES:
            words = f"The standby {member} is {lag_bytes / 1e6:.0f} MB behind"
            yield Alert(RULES["AgentBusReplicaBehind"], member, words)


def _of_etcd(hubs: HubsFigures) -> Iterator[Alert]:
    """What is wrong with that by which the hubs agree on the primary."""
    for member in hubs.silent_etcds:
        words = f"The etcd of {member} is not healthy"
        yield Alert(RULES["AgentBusEtcdMemberLost"], member, words)
    if not hubs.has_etcd_leader:
        yield Alert(RULES["AgentBusEtcdNoLeader"], "", "etcd has no leader")
    for member, used in hubs.etcd_used.items():
        if used > ETCD_USED:
            words = f"The etcd of {member} has used {used:.0%} of its quota"
            yield Alert(RULES["AgentBusEtcdFull"], member, words)


class Watch:
    """Remembers since when each alert holds, and shows those that hold long enough."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def firing(self, figures: Figures, now: float) -> list[Alert]:
        """The alerts to show, critical ones first; `now` is monotonic seconds."""
        found = {(alert.rule.name, alert.subject): alert for alert in holding(figures)}
        self._since = {key: self._since.get(key, now) for key in found}
        shown = [a for key, a in found.items() if now - self._since[key] >= a.rule.for_s]
        return sorted(shown, key=lambda a: (a.rule.severity != "critical", a.rule.name, a.subject))
