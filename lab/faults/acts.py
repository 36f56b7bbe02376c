"""The faults: what is done to which host, and how it is undone."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from lab.engine.podman import podman
from lab.faults.trial import AWAY, Fault
from lab.fleet import standing
from lab.fleet.ssh import close_connections
from lab.probe.running import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.probe.running import RunningFleet
    from lab.traffic.hosts import Traffic

STATE = "/var/lib/agent-bus-hub"
DISK_MB = 32
CLOCK = "/run/lab-clock"
DROP_IN = "/run/systemd/system/agent-bus.service.d/lab-clock.conf"
FAKED = r"""
cat > {clock}/sitecustomize.py <<'END'
# libfaketime 0.9.10 refuses clock_nanosleep on a monotonic clock that it does not fake
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
END
cat > {drop_in} <<END
[Service]
Environment=PYTHONPATH={clock}:/opt/agent-bus/current
Environment=LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1)
Environment=FAKETIME_TIMESTAMP_FILE={clock}/offset FAKETIME_CACHE_DURATION=1
Environment=FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
END
"""
NO_ROOM = 507
STAMP_SLACK_S = 600


class Acts:
    """Makes the faults of one fleet."""

    def __init__(self, running: RunningFleet, traffic: Traffic) -> None:
        self._running = running
        self._traffic = traffic
        self._hub = running.who.hub
        self._everybody = [name for names in running.who.agents.values() for name in names]

    def hub_killed(self) -> Fault:
        """All processes of the hub die at once."""
        return Fault(
            "hub killed",
            "SIGKILL to all its processes",
            self._everybody,
            lambda: self._on_hub("systemctl kill --signal=SIGKILL agent-bus"),
            shows=AWAY,
        )

    def watcher_killed(self, host: str) -> Fault:
        """A watcher dies."""
        return Fault(
            "watcher killed",
            f"SIGKILL to {host}'s, together with the hub",
            self._running.who.agents[host],
            lambda: self._on(host, "systemctl kill --signal=SIGKILL bus-watcher"),
        )

    def hub_hung(self) -> Fault:
        """The hub stops without dying; systemd's watchdog has to notice."""
        return Fault(
            "hub hung",
            "SIGSTOP, never continued",
            self._everybody,
            lambda: self._on_hub("systemctl kill --signal=SIGSTOP agent-bus"),
            shows=AWAY,
        )

    def node_partitioned(self, host: str, *, lasts_s: float) -> Fault:
        """Packets between a node and the hub are dropped, not rejected."""
        hub = standing.spec_of(self._running.up, self._hub).address
        rules = (f"INPUT -s {hub} -j DROP", f"OUTPUT -d {hub} -j DROP")
        return Fault(
            "node partitioned",
            f"packets between {host} and the hub dropped",
            self._running.who.agents[host],
            lambda: self._on(host, *(f"iptables -A {rule}" for rule in rules)),
            lambda: self._on(host, *(f"iptables -D {rule}" for rule in rules)),
            lasts_s=lasts_s,
            shows="deaf",
        )

    def host_frozen(self, host: str, *, lasts_s: float) -> Fault:
        """A host stands still, with its network, until its lease has lapsed."""
        container = standing.spec_of(self._running.up, host).name
        return Fault(
            "host frozen",
            f"{host} paused as a whole, then thawed",
            self._running.who.agents[host],
            lambda: _podman("pause", container),
            lambda: _podman("unpause", container),
            lasts_s=lasts_s,
            shows="deaf",
        )

    def gateway_down(self, host: str, *, lasts_s: float) -> Fault:
        """A node's gateway is away."""
        unit = "openclaw-gateway-standin"
        return Fault(
            "gateway down",
            f"{host}'s stopped, then started",
            self._running.who.agents[host],
            lambda: self._on(host, f"systemctl stop {unit}"),
            lambda: self._on(host, f"systemctl start {unit}"),
            lasts_s=lasts_s,
            shows="gateway-down",
        )

    def disk_full(self, host: str) -> Fault:
        """The file system of the hub's database has no byte left; needs `altered_hub`."""

        def begin() -> None:
            self._on_hub(f"dd if=/dev/zero of={STATE}/ballast bs=64k 2>/dev/null || true")

        def check() -> None:
            met = self._traffic.fill(host)
            assert met["status"] == NO_ROOM, met
            checks = self._readiness()["checks"]
            assert "full" in checks["writing"], checks
            assert checks["reading"] == "ok", checks
            assert self._running.api("/api/history?limit=1")["messages"]
            assert all(result["ok"] for result in self._running.probe(self._everybody))

        return Fault(
            "hub's disk full",
            "file system of the database filled to the last byte",
            self._everybody,
            begin,
            lambda: self._on_hub(f"rm {STATE}/ballast"),
            lasts_s=2,
            check=check,
            shows="online",
            only=True,
        )

    def clock_jumped(self, by_s: int, *, lasts_s: float) -> Fault:
        """The hub's wall clock jumps while it runs, and back; needs `altered_hub`."""
        return Fault(
            "hub's clock jumped",
            f"its wall clock set {by_s} s ahead under it, then back",
            self._everybody,
            lambda: self._set_clock(by_s),
            lambda: self._set_clock(0),
            lasts_s=lasts_s,
            check=lambda: self._check_clock(by_s),
            shows="online",
            only=True,
        )

    def power_lost(self) -> Fault:
        """All hosts lose power at once and get it back."""
        containers = [spec.name for spec in self._running.up.specs]

        def off() -> None:
            _podman("kill", "--signal=KILL", *containers)
            close_connections(self._running.up.name)

        return Fault(
            "power lost",
            "every host killed, then started",
            self._everybody,
            off,
            lambda: _podman("start", *containers),
            lasts_s=2,
            shows=AWAY,
        )

    @contextlib.contextmanager
    def altered_hub(self) -> Iterator[None]:
        """While the block runs, the hub has a small file system and a clock that can be set."""
        aside = "/mnt/lab-disk"
        self._on_hub(
            f"mkdir -p {aside} {CLOCK} $(dirname {DROP_IN})",
            f"mount -t tmpfs -o size={DISK_MB}m lab {aside}",
            f"echo +0 > {CLOCK}/offset",
            FAKED.format(clock=CLOCK, drop_in=DROP_IN),
            "systemctl daemon-reload",
            "systemctl stop agent-bus",
            f"cp -a {STATE}/. {aside}",
            f"mount --bind {aside} {STATE}",
            f"umount {aside}",
            "systemctl start agent-bus",
        )
        self._wait_for_all()
        yield
        self._on_hub(
            f"mkdir -p {aside} && mount --bind / {aside}",
            "systemctl stop agent-bus",
            f"cp -a {STATE}/. {aside}{STATE}",
            f"umount {STATE} {aside}",
            f"rm -r {DROP_IN} {CLOCK}",
            "systemctl daemon-reload",
            "systemctl start agent-bus",
        )
        self._wait_for_all()

    def _set_clock(self, by_s: int) -> None:
        self._on_hub(f"echo {by_s:+d} > {CLOCK}/new", f"mv {CLOCK}/new {CLOCK}/offset")

    def _check_clock(self, by_s: int) -> None:
        def is_stamped() -> bool:
            newest = self._running.api("/api/history?limit=1")["messages"][0]
            stamp = datetime.fromisoformat(newest["created_at"]).timestamp()
            return abs(stamp - time.time() - by_s) < STAMP_SLACK_S

        until(is_stamped, what="messages carry the date that was set")

    def _readiness(self) -> dict[str, Any]:
        try:
            ready: dict[str, Any] = self._running.api("/readyz")
        except HTTPError as error:  # 503 has the same facts
            ready = json.load(error)
        return ready

    def _wait_for_all(self) -> None:
        def connected() -> bool:
            with contextlib.suppress(OSError):
                return all(node["connected"] for node in self._running.streams().values())
            return False

        until(connected, what="all watchers are back")

    def _on_hub(self, *commands: str) -> None:
        self._on(self._hub, *commands)

    def _on(self, host: str, *commands: str) -> None:
        script = "\n".join(["set -eu", *commands])
        self._running.on(host, "sudo sh", stdin=script)


def _podman(*arguments: str) -> None:
    podman(*arguments)
