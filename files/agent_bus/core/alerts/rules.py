"""The rules of alerts, and the bounds that they name.

`files/monitoring/agent-bus.rules.yml` holds the same rules
for Prometheus under the same names, and a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
CHANNEL_FAILURES: Final = 3
"""In a row; the third attempt comes ten minutes after the first one."""


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
        Rule(
            "AgentBusChannelFailing",
            60,
            "warning",
            "On the hub, agent-bus-admin channels says why. All mail is in the mailbox, too.",
        ),
        Rule(
            "AgentBusBudgetSpent",
            0,
            "warning",
            "Its mail waits until the window allows a wake. On the hub, agent-bus-admin wakes "
            "says who caused them.",
        ),
        Rule(
            "AgentBusPaused",
            3600,
            "warning",
            "Nobody of them is woken. On the hub, agent-bus-admin pauses says why, resume ends "
            "it.",
        ),
        Rule(
            "AgentBusStorm",
            0,
            "warning",
            "Agents only keep each other busy: their messages wake nobody until you say a word. "
            "On the hub, agent-bus-admin storms says which.",
        ),
        Rule(
            "AgentBusUrgentUnread",
            60,
            "critical",
            "Open the message on the page: it says where it is stuck. Answer its sender.",
        ),
    )
}
