"""An etcd that is stopped is missed by every hub, and the doctor on its host says what to do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.database import Database
    from lab.probe.hub import LabHub

UNIT = "agent-bus-etcd.service"


def sees_etcd(hub: LabHub, host: str, *, healthy: bool) -> bool:
    """Tell whether a hub sees the etcd of a host as this."""
    members = hub.get("/api/cluster")["etcd"]["members"]
    found = next(one["healthy"] for one in members if one["name"] == host)
    return bool(found is healthy)


def test_a_stopped_etcd_is_missed_by_all_and_is_back(
    database: Database, hubs: dict[str, LabHub]
) -> None:
    host = database.hubs[-1]
    database.running.on(host, f"sudo systemctl stop {UNIT}")
    try:
        for name, hub in hubs.items():
            until(partial(sees_etcd, hub, host, healthy=False), what=f"{name} misses it")
        said = database.running.on(host, "sudo agent-bus-admin doctor; true")
        assert f"FAIL {UNIT}" in said
        assert "FAIL etcd: does not answer" in said
        assert f"-> journalctl -u {UNIT}" in said
    finally:
        database.running.on(host, f"sudo systemctl start {UNIT}")
    for name, hub in hubs.items():
        until(partial(sees_etcd, hub, host, healthy=True), what=f"{name} sees it again")
