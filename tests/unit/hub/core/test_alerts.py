"""The rules of the dashboard's alerts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agent_bus.core import alerts

CALM: dict[str, Any] = {
    "silent_nodes": (),
    "deaf_gateways": (),
    "oldest_unread_s": {"alpha": 20.0},
    "disk_full_5m": 0,
    "refused_5m": 3,
    "commit_p99_s": 0.01,
    "wal_bytes": 4_000_000,
    "queue_events_max": 3,
    "certificates_s": {"hub": 200 * 86_400, "authority": 3000 * 86_400},
    "disk_free_bytes": 20_000_000_000,
    "disk_full_s": 30 * 86_400,
    "rotating_s": {"n1": 600},
    "backup_age_s": 86_400,
    "archive_over_s": -86_400,
}
HUBS = alerts.HubsFigures(
    name="h1",
    lost_hubs=(),
    is_fenced=False,
    lost_members=(),
    member_count=3,
    there=3,
    needed=2,
    without_primary_s=0.0,
    lag_bytes={"h2": 20_000},
    silent_etcds=(),
    has_etcd_leader=True,
    etcd_used={"h1": 0.01},
)


def hubs(**more: Any) -> dict[str, Any]:
    return {"hubs": (dataclasses.replace(HUBS, **more),)}


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "AgentBusWatcherGone": ({"silent_nodes": ("n1",)}, "n1"),
    "AgentBusGatewayDown": ({"deaf_gateways": ("alpha",)}, "alpha"),
    "AgentBusMailUnread": ({"oldest_unread_s": {"beta": 1801.0}}, "beta"),
    "AgentBusDiskFull": ({"disk_full_5m": 1}, ""),
    "AgentBusCommitSlow": ({"commit_p99_s": 0.2}, ""),
    "AgentBusWalLarge": ({"wal_bytes": 200_000_000}, ""),
    "AgentBusStreamBehind": ({"queue_events_max": 900}, ""),
    "AgentBusTokensRefused": ({"refused_5m": 100}, ""),
    "AgentBusCertificateExpiring": ({"certificates_s": {"hub": 10 * 86_400}}, "hub"),
    "AgentBusCertificateLastDays": ({"certificates_s": {"authority": -5}}, "authority"),
    "AgentBusDiskLow": ({"disk_free_bytes": 400_000_000}, ""),
    "AgentBusDiskFilling": ({"disk_full_s": 3600}, ""),
    "AgentBusTokensInRotation": ({"rotating_s": {"n1": 90_000, "n2": 5}}, "n1"),
    "AgentBusBackupOld": ({"backup_age_s": 9 * 86_400}, ""),
    "AgentBusArchiveBehind": ({"archive_over_s": 2 * 86_400}, ""),
    "AgentBusHubLost": (hubs(lost_hubs=("h2",)), "h2"),
    "AgentBusHubFenced": (hubs(is_fenced=True), "h1"),
    "AgentBusDatabaseMemberLost": (hubs(lost_members=("h3",), there=2), "h3"),
    "AgentBusQuorumLost": (hubs(there=1), ""),
    "AgentBusNoPrimary": (hubs(without_primary_s=31.0), ""),
    "AgentBusReplicaBehind": (hubs(lag_bytes={"h2": 200_000_000, "h3": 5}), "h2"),
    "AgentBusEtcdMemberLost": (hubs(silent_etcds=("h1",)), "h1"),
    "AgentBusEtcdNoLeader": (hubs(has_etcd_leader=False), ""),
    "AgentBusWebhookFailing": ({"webhooks_waiting_s": {"ops": 1801.0, "b": 9.0}}, "ops"),
    "AgentBusChannelFailing": ({"channel_failures": {"phone": 3, "mail": 2}}, "phone"),
    "AgentBusStorm": ({"storms_held": 2}, ""),
    "AgentBusBudgetSpent": ({"budgets_spent": ("@research",)}, "@research"),
    "AgentBusPaused": ({"paused_count": 2}, ""),
    "AgentBusUrgentUnread": ({"escalated": {"alpha": 1}}, "alpha"),
    "AgentBusWebhookLost": ({"webhooks_lost_s": {"ops": 60.0, "b": 90_000.0}}, "ops"),
    "AgentBusEtcdFull": (hubs(etcd_used={"h1": 0.85, "h2": 0.1}), "h1"),
}


def figures(**more: Any) -> alerts.Figures:
    return alerts.Figures(**{**CALM, **more})


def test_a_calm_fleet_has_none_and_every_rule_has_its_trouble() -> None:
    assert list(alerts.holding(figures())) == []
    assert list(alerts.holding(figures(**hubs()))) == []
    assert set(TROUBLE) == set(alerts.RULES)


@pytest.mark.parametrize("name", TROUBLE)
def test_each_rule_names_its_subject_once_it_held_long_enough(name: str) -> None:
    more, subject = TROUBLE[name]
    watch = alerts.Watch()
    for_s = alerts.RULES[name].for_s
    before = watch.firing(figures(**more), 1000.0)
    assert bool(before) is (for_s == 0)
    (alert,) = watch.firing(figures(**more), 1000.0 + for_s)
    assert (alert.rule.name, alert.subject) == (name, subject)
    assert watch.firing(figures(), 1001.0 + for_s) == []


def test_a_trouble_that_went_away_must_hold_anew() -> None:
    watch = alerts.Watch()
    gone = figures(silent_nodes=("n1",))
    watch.firing(gone, 0.0)
    watch.firing(figures(), 100.0)
    watch.firing(gone, 110.0)
    assert watch.firing(gone, 200.0) == []
    assert watch.firing(gone, 230.0)


def test_critical_ones_stand_first() -> None:
    shown = alerts.Watch().firing(figures(disk_full_5m=1, refused_5m=100), 0.0)
    assert [one.rule.severity for one in shown] == ["critical", "warning"]
