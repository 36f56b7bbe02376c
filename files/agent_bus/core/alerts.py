"""The rules of the dashboard's alerts: what is wrong with the fleet, without Prometheus.

Pure: figures and times are passed in. `files/monitoring/agent-bus.rules.yml` holds the same rules
for Prometheus under the same names, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNREAD_S: Final = 1800
"""An agent's own heartbeat comes every 30 min: past that, wake and heartbeat have both failed."""
COMMIT_S: Final = 0.1
"""p99 of a commit. A healthy disk needs 10 ms; at 100 ms senders feel it."""
WAL_BYTES: Final = 100_000_000
"""The writer checkpoints at 32 MB under load; at three times that it cannot."""
QUEUE_EVENTS: Final = 500
"""Half of the number that ends a stream."""
REFUSED: Final = 20
"""Refused tokens in five minutes; a node with an old one tries at most every 30 s."""
DAY_S: Final = 86_400
CERTIFICATE_S: Final = 21 * DAY_S
"""`site.yml` renews from 30 days on: below 21 it has failed, or has not run for nine days."""
CERTIFICATE_LAST_S: Final = 3 * DAY_S
DISK_BYTES: Final = 500_000_000
"""Room for a backup of an ordinary database and its write-ahead log."""
DISK_FULL_S: Final = DAY_S
ROTATION_S: Final = DAY_S
"""A rotation takes minutes; a node that was off gets its token in the next run that reaches it."""
BACKUP_S: Final = 8 * DAY_S
"""A week and a day, so that weekly backups never raise it."""
ARCHIVE_S: Final = DAY_S
"""How far the archive may be past its retention; sweeps come every minute."""
NO_PRIMARY_S: Final = 30
"""A takeover takes up to 26 s."""
LAG_BYTES: Final = 100_000_000
"""A standby that is connected is behind by kilobytes; after a restart it has this in seconds."""
ETCD_USED: Final = 0.8
"""Of etcd's quota. It holds kilobytes; when it is full, no primary can be chosen any more."""

WEBHOOK_S: Final = 1800
"""The first three attempts at an event are over by then: see `webhooks/schedule.py`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert: its name, how long it must hold before it is shown, and what to do."""

    name: str
    for_s: float
    severity: str
    advice: str


RULES: Final = {
    rule.name: rule
    for rule in (
        Rule(
            "AgentBusWatcherGone",
            120,
            "critical",
            "No agent there is woken. On that host: systemctl status bus-watcher.",
        ),
        Rule(
            "AgentBusGatewayDown",
            120,
            "critical",
            "The watcher runs, but the OpenClaw gateway does not answer it. Look at the gateway.",
        ),
        Rule(
            "AgentBusMailUnread",
            60,
            "warning",
            "The agent does not read its mail. Its oldest message's timeline names the hop.",
        ),
        Rule(
            "AgentBusDiskFull",
            0,
            "critical",
            "Sends are refused. Make room on the hub's disk; nothing accepted is lost.",
        ),
        Rule(
            "AgentBusCommitSlow",
            300,
            "warning",
            "The hub's disk is slow. Look at what else writes to it, and at its health.",
        ),
        Rule(
            "AgentBusWalLarge",
            300,
            "warning",
            "The write-ahead log is not checkpointed: a long backup or a stuck reader.",
        ),
        Rule(
            "AgentBusStreamBehind",
            60,
            "warning",
            "One client reads too slowly. Its stream will be cut off, and it resumes by itself.",
        ),
        Rule(
            "AgentBusTokensRefused",
            0,
            "warning",
            "Somebody tries tokens, or a node has an old one: run site.yml for that node.",
        ),
        Rule(
            "AgentBusCertificateExpiring",
            0,
            "warning",
            "Run site.yml: it renews the fleet's own certificate. Replace your own by a new one.",
        ),
        Rule(
            "AgentBusCertificateLastDays",
            0,
            "critical",
            "After that no node trusts the hub. Run site.yml; replace your own certificate first.",
        ),
        Rule(
            "AgentBusDiskLow",
            300,
            "warning",
            "Make room on the hub's disk. When it is full, sends are refused.",
        ),
        Rule(
            "AgentBusDiskFilling",
            1800,
            "warning",
            "Find out what fills it. The bus itself stores backups and the archive there.",
        ),
        Rule(
            "AgentBusTokensInRotation",
            0,
            "warning",
            "Run site.yml for that node, or hand a guest its new token: until then, the hub "
            "accepts both.",
        ),
        Rule(
            "AgentBusBackupOld",
            0,
            "warning",
            "Run playbooks/backup.yml, best by a timer. A lost disk would take all mail since.",
        ),
        Rule(
            "AgentBusArchiveBehind",
            3600,
            "warning",
            "Old mail is not dropped, so the database grows. Look at the hub's log for sweeps.",
        ),
        Rule(
            "AgentBusHubLost",
            60,
            "warning",
            "Its watchers use the other hubs. On that host: systemctl status agent-bus.",
        ),
        Rule(
            "AgentBusHubFenced",
            15,
            "critical",
            "It reaches no primary and sends its clients to other hubs. Look at its network.",
        ),
        Rule(
            "AgentBusDatabaseMemberLost",
            60,
            "warning",
            "Start its host, or replace it before another is lost. On any hub: "
            "agent-bus-patronictl list.",
        ),
        Rule(
            "AgentBusQuorumLost",
            15,
            "critical",
            "No message is accepted until enough members are there. Start one of their hosts; "
            "nothing else is to be done.",
        ),
        Rule(
            "AgentBusNoPrimary",
            0,
            "critical",
            "Sends wait in outboxes. Start the hosts of a majority of the hubs; on one of them: "
            "agent-bus-patronictl list.",
        ),
        Rule(
            "AgentBusReplicaBehind",
            300,
            "warning",
            "It cannot take over yet. On its host: journalctl -u agent-bus-database, and look at "
            "its disk.",
        ),
        Rule(
            "AgentBusEtcdMemberLost",
            60,
            "warning",
            "The others agree without it. On that host: systemctl status agent-bus-etcd.",
        ),
        Rule(
            "AgentBusEtcdNoLeader",
            15,
            "critical",
            "No member takes over while that is so. Start agent-bus-etcd on a majority of the "
            "hubs.",
        ),
        Rule(
            "AgentBusEtcdFull",
            300,
            "warning",
            "When it is full, no primary can be chosen. On that host, with etcdctl: compact, "
            "defrag, alarm disarm.",
        ),
        Rule(
            "AgentBusWebhookFailing",
            60,
            "warning",
            "On the hub, agent-bus-admin webhooks says why. Events are kept for three days.",
        ),
        Rule(
            "AgentBusWebhookLost",
            0,
            "critical",
            "Its receiver has not heard of some events and never will: let it ask the bus anew.",
        ),
    )
}


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
    long ago one was given up.
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
    yield from _of_webhooks(figures)
    yield from chain(*map(_of_hubs, figures.hubs), *map(_of_etcd, figures.hubs))


def _of_webhooks(figures: Figures) -> Iterator[Alert]:
    for name, waits_s in figures.webhooks_waiting_s.items():
        if waits_s > WEBHOOK_S:
            words = f"Events for the webhook {name} have waited for {waits_s / 60:.0f} min"
            yield Alert(RULES["AgentBusWebhookFailing"], name, words)
    for name, lost_s in figures.webhooks_lost_s.items():
        if lost_s < DAY_S:
            words = f"Events for the webhook {name} were given up"
            yield Alert(RULES["AgentBusWebhookLost"], name, words)


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
