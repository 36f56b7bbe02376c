"""Faults of the database of several hubs: its processes, its connections, its etcd.

Each is chosen when its turn comes, since it depends on who has the primary then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lab.faults.hubs.fleet import ETCDCTL
from lab.faults.hubs.kills import POSTMASTER
from lab.faults.hubs.trial import CUT_S, LEASE_S, TAKEOVER_S, HubsFault, fault
from lab.faults.hubs.witness import DATABASE
from lab.probe.running import until

if TYPE_CHECKING:
    from lab.faults.hubs.fleet import HubsFleet
    from lab.faults.hubs.witness import Witness

ETCD = "/var/lib/agent-bus-etcd"
ASIDE = "/mnt/lab-etcd"
ETCD_MB = 512


CHURN = (
    "for number in $(seq 24); do head -c 1000000 /dev/zero | tr '\\0' x |"
    f" ({ETCDCTL} --endpoints=https://{{}}:2379 put /lab/churn); done"
)
"""etcd allots its log in advance, so Patroni's few bytes would fill no disk for a day."""


class DatabaseActs:
    """Makes them."""

    def __init__(self, fleet: HubsFleet, look: Witness) -> None:
        self._fleet = fleet
        self._look = look

    def postgres_killed(self) -> HubsFault:
        """The primary's PostgreSQL dies; its Patroni hands the lease on."""
        hub = self._look.leader()
        return HubsFault(
            fault(
                "primary's PostgreSQL killed",
                f"SIGKILL to {hub}'s",
                lambda: self._fleet.on(hub, f"kill -KILL {POSTMASTER}"),
            ),
            pause_s=TAKEOVER_S,
        )

    def patroni_killed(self) -> HubsFault:
        """The primary's Patroni dies; systemd starts it, and it finds its PostgreSQL."""
        hub = self._look.leader()
        kill = f"systemctl kill --kill-who=main --signal=KILL {DATABASE}"
        return HubsFault(
            fault(
                "primary's Patroni killed",
                f"SIGKILL to {hub}'s",
                lambda: self._fleet.on(hub, kill),
                check=lambda: self._look.still_leads(hub),
            ),
            pause_s=3,
        )

    def patroni_stopped(self) -> HubsFault:
        """The primary's Patroni hangs: its lease runs out, and its PostgreSQL is left behind."""
        hub = self._look.leader()
        signal = f"systemctl kill --kill-who=main --signal={{}} {DATABASE}"
        return HubsFault(
            fault(
                "primary's Patroni stopped",
                f"SIGSTOP to {hub}'s, then SIGCONT",
                lambda: self._fleet.on(hub, signal.format("STOP")),
                lambda: self._fleet.on(hub, signal.format("CONT")),
                check=lambda: self._look.is_left_behind(hub),
            ),
            pause_s=TAKEOVER_S,
        )

    def primary_unreachable(self) -> HubsFault:
        """One hub's packets to the primary's PostgreSQL are dropped, and no others."""
        hub, leader = self._look.standby(), self._look.leader()
        address = self._fleet.addresses[leader]
        rules = [
            f"OUTPUT -d {address} -p tcp --dport 5432 -m owner --uid-owner agent-bus -j DROP",
        ]
        return HubsFault(
            fault(
                "primary out of a hub's reach",
                f"packets of {hub}'s to {leader}'s PostgreSQL dropped",
                lambda: self._fleet.on(hub, *(f"iptables -A {rule}" for rule in rules)),
                lambda: self._fleet.on(hub, *(f"iptables -D {rule}" for rule in rules)),
                lasts_s=CUT_S,
            ),
            victims=(hub,),
            silent=(),
            pause_s=5,
        )

    def connection_hung(self) -> HubsFault:
        """The open connections of one hub to the primary are silent; new ones are not."""
        hub, leader = self._look.standby(), self._look.leader()
        chain = "LAB-HUNG"
        there = f"state established dst {self._fleet.addresses[leader]} dport = 5432"
        local = "awk '!/postgres/ { n = split($3, part, \":\"); print part[n] }'"
        drop = " ".join(
            f"iptables -A {chain} -p tcp --{side} $port -j DROP;" for side in ("sport", "dport")
        )
        begin = (
            f"iptables -N {chain}",
            f"for port in $(ss -tnpH {there} | {local}); do {drop} done",
            f"iptables -A OUTPUT -j {chain}; iptables -A INPUT -j {chain}",
            f"iptables -S {chain} | grep -q DROP",
        )
        end = (
            f"iptables -D OUTPUT -j {chain}; iptables -D INPUT -j {chain}",
            f"iptables -F {chain}; iptables -X {chain}",
        )
        return HubsFault(
            fault(
                "database connection hung",
                f"packets of {hub}'s open connections to {leader}'s PostgreSQL dropped",
                lambda: self._fleet.on(hub, *begin),
                lambda: self._fleet.on(hub, *end),
                lasts_s=CUT_S,
            ),
            pause_s=8,
        )

    def switchover(self) -> HubsFault:
        """The operator moves the primary."""
        leader, heir = self._look.leader(), self._look.standby()
        move = f"agent-bus-patronictl switchover --force --primary {leader} --candidate {heir}"

        def leads() -> bool:
            return self._fleet.database.leader(asked=heir) == heir

        return HubsFault(
            fault(
                "switchover",
                f"patronictl moves the primary from {leader} to {heir}",
                lambda: self._fleet.on(heir, move),
                check=lambda: until(leads, what=f"{heir} leads"),
            ),
            pause_s=10,
        )

    def etcd_disk_full(self) -> HubsFault:
        """The file system of one member of etcd, on the primary's host, has no byte left."""
        hub = self._look.leader()
        self._fleet.on(
            hub,
            f"mkdir -p {ASIDE}",
            f"mount -t tmpfs -o size={ETCD_MB}m lab {ASIDE}",
            "systemctl stop agent-bus-etcd",
            f"cp -a --sparse=always {ETCD}/. {ASIDE}",
            f"mount --bind {ASIDE} {ETCD}",
            "systemctl start agent-bus-etcd",
        )
        until(lambda: not self._fleet.ails(), what="etcd runs on a small file system")
        began = time.time()

        def begin() -> None:
            self._fleet.on(hub, f"dd if=/dev/zero of={ETCD}/ballast bs=64k || true")
            other = self._look.standby()
            self._fleet.on(other, CHURN.format(self._fleet.addresses[other]))

        def check() -> None:
            self._look.still_leads(hub)
            log = self._fleet.journal(hub, began)
            assert any("no space left" in line for line in log), (
                "etcd has not noticed that its disk is full"
            )

        def restore() -> None:
            self._fleet.on(
                hub,
                "systemctl stop agent-bus-etcd",
                f"umount {ETCD}",
                f"find {ETCD} -mindepth 1 -delete",
                f"cp -a {ASIDE}/. {ETCD}",
                f"umount {ASIDE}",
                "systemctl start agent-bus-etcd",
            )

        return HubsFault(
            fault(
                "etcd's disk full",
                f"file system of {hub}'s filled to the last byte",
                begin,
                lambda: self._fleet.on(hub, f"rm {ETCD}/ballast"),
                lasts_s=2 * LEASE_S,
                check=check,
            ),
            pause_s=5,
            after=restore,
        )
