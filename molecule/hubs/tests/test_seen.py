"""What an operator is shown of the hubs and their database, at rest."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.database import Database
    from lab.probe.hub import LabHub

Hubs = dict[str, "LabHub"]


def sees_all(hub: LabHub, count: int) -> bool:
    """Tell whether a hub sees all others, the whole database, and all of etcd."""
    seen = hub.get("/api/cluster")
    live = sum(one["live"] is True for one in seen["hubs"])
    return (live, seen["database"]["there"], seen["etcd"]["healthy"]) == (count, count, count)


def value(text: str, sample: str) -> float:
    """Return a sample of what Prometheus would scrape."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    assert found, sample
    return float(found[1])


def test_every_hub_tells_the_same_of_all(database: Database, hubs: Hubs) -> None:
    leader = database.leader(asked=database.hubs[0])
    majority = len(database.hubs) // 2 + 1
    for name, hub in hubs.items():
        until(partial(sees_all, hub, len(hubs)), what=f"{name} sees them all")
        seen = hub.get("/api/cluster")["database"]
        assert (seen["primary"], seen["needed"]) == (leader, majority)
        standbys = [one for one in seen["members"] if one["name"] != leader]
        assert all(one["role"] == "standby" and one["synchronous"] for one in standbys)
        assert all(one["lag_bytes"] is not None for one in standbys)
        assert len({one["timeline"] for one in seen["members"]}) == 1


def test_every_hub_has_the_figures_for_prometheus(database: Database, hubs: Hubs) -> None:
    leader = database.leader(asked=database.hubs[0])
    for name, hub in hubs.items():
        until(partial(sees_all, hub, len(hubs)), what=f"{name} sees them all")
        text = hub.metrics()
        for other in database.hubs:
            assert value(text, f'agent_bus_hub_up{{hub="{other}"}}') == 1
            assert value(text, f'agent_bus_database_member_up{{member="{other}"}}') == 1
            assert value(text, f'agent_bus_etcd_member_up{{member="{other}"}}') == 1
            leads = value(text, f'agent_bus_database_primary{{member="{other}"}}')
            assert leads == (other == leader)
        assert value(text, "agent_bus_hub_fenced") == 0
        assert value(text, "agent_bus_etcd_has_leader") == 1
        assert 'certificate="database"' in text


def test_the_page_has_a_row_for_each_hub(hubs: Hubs) -> None:
    for name, hub in hubs.items():
        until(partial(sees_all, hub, len(hubs)), what=f"{name} sees them all")
        page = hub.page()
        assert set(re.findall(r'<tr data-host="(\w+)"', page)) == set(hubs)


def checks(database: Database, host: str) -> list[dict[str, Any]]:
    """Return what the doctor finds on a hub's host."""
    said = database.running.on(host, "sudo agent-bus-admin --json doctor; true")
    found: list[dict[str, Any]] = json.loads(said)["checks"]
    return found


def is_well(database: Database, host: str) -> bool:
    """Tell whether the doctor has nothing to say."""
    return all(one["ok"] for one in checks(database, host))


def test_the_doctor_has_nothing_to_say_on_any_hub(database: Database) -> None:
    for host in database.hubs:
        until(partial(is_well, database, host), what=f"all is well on {host}")
        names = {one["name"] for one in checks(database, host)}
        assert {"Patroni", "PostgreSQL", "etcd", "certificate that PostgreSQL shows"} <= names


def test_status_names_the_primary(database: Database) -> None:
    leader = database.leader(asked=database.hubs[0])
    for host in database.hubs:
        assert f"primary {leader}" in database.running.on(host, "sudo agent-bus-admin status")
