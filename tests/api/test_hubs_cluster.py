"""`GET /api/cluster` and /metrics of several hubs, with a played Patroni and etcd on each host."""

from __future__ import annotations

import contextlib
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.api.models.hubs import ClusterAnswer
from tests.api.test_metrics import scrape, value
from tests.support import postgres
from tests.support.database_host import DatabaseHost, database_host, member
from tests.support.hub import ON_SQLITE, REPOSITORY, HubProcess, running
from tests.support.hubs import hubs_in, hubs_on
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("hub0", "hub1", "hub2")


def cluster(hub: HubProcess) -> dict[str, Any]:
    found: dict[str, Any] = hub.client("n1").get("/api/cluster").body
    assert ClusterAnswer.model_validate(found).model_dump() == found, "as the document says"
    return found


def sees_both(hub: HubProcess) -> bool:
    found = cluster(hub)
    live = [one["live"] for one in found["hubs"]].count(True)
    return live == 2 and found["etcd"]["healthy"] == 2


def members(primary: str = "hub0", *lost: str) -> list[dict[str, Any]]:
    roles = {name: "leader" if name == primary else "quorum_standby" for name in NAMES}
    return [member(name, role) for name, role in roles.items() if name not in lost]


@pytest.fixture
def played(tmp_path: Path) -> Iterator[tuple[list[HubProcess], list[DatabaseHost]]]:
    """Two hubs of three that there should be; the third host was never there."""
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(database_host(members=members())) for _ in range(2)]
        hosts[1].etcd = {"has_leader": 1, "is_leader": 1, "size": 30_000}
        named = [{"name": name, "url": f"http://{name}:8091"} for name in NAMES]
        own = [host.settings for host in hosts]
        urls = [postgres.database(tmp_path)] * 2
        hubs = stack.enter_context(hubs_on(urls, tmp_path, own, hubs=named))
        yield hubs, hosts


def test_each_hub_tells_the_same_of_all(
    played: tuple[list[HubProcess], list[DatabaseHost]],
) -> None:
    hubs, hosts = played
    for hub in hubs:
        wait_until(partial(sees_both, hub), "both were heard")
        found = cluster(hub)
        assert [one["live"] for one in found["hubs"]] == [True, True, False]
        assert found["hubs"][2]["url"] == "http://hub2:8091"
        database = found["database"]
        assert (database["primary"], database["without_primary_s"]) == ("hub0", 0)
        assert [one["role"] for one in database["members"]] == ["primary", "standby", "standby"]
        assert not database["fenced"]
        assert found["etcd"]["leader"] == "hub1"
        assert [one["healthy"] for one in found["etcd"]["members"]] == [True, True, None]
        assert found["words"][0] == "Hubs: 2 of 3 live"
    hosts[1].members, hosts[1].etcd = members("hub0", "hub2"), None
    hosts[0].members = members("hub0", "hub2")
    wait_until(lambda: cluster(hubs[0])["etcd"]["healthy"] == 1, "the other etcd is missed")
    wait_until(lambda: cluster(hubs[0])["database"]["members"][2]["state"] == "lost", "as is hub2")
    hubs[1].hang_up()
    hubs[1].kill()
    wait_until(lambda: cluster(hubs[0])["hubs"][1]["live"] is False, "as is the hub")


def test_a_scrape_tells_it_and_the_reference_names_all_of_it(
    played: tuple[list[HubProcess], list[DatabaseHost]],
) -> None:
    hubs, _ = played
    wait_until(partial(sees_both, hubs[0]), "both were heard")
    _, text = scrape(hubs[0])
    assert value(text, 'agent_bus_hub_up{hub="hub1"}') == 1
    assert value(text, 'agent_bus_hub_up{hub="hub2"}') == 0
    assert value(text, "agent_bus_hub_fenced") == 0
    assert value(text, "agent_bus_barrier_age_seconds") < 60
    assert value(text, 'agent_bus_database_primary{member="hub0"}') == 1
    assert value(text, 'agent_bus_database_primary{member="hub1"}') == 0
    assert value(text, "agent_bus_database_members") == 3
    assert value(text, "agent_bus_database_without_primary_seconds") == 0
    assert value(text, "agent_bus_etcd_has_leader") == 1
    assert value(text, 'agent_bus_etcd_member_up{member="hub1"}') == 1
    assert value(text, 'agent_bus_etcd_size_bytes{member="hub1"}') == 30_000
    assert 'agent_bus_etcd_member_up{member="hub2"}' not in text
    page = (REPOSITORY / "docs/reference/metrics.md").read_text()
    of_hubs = page[page.index("Figures of several hubs") : page.index("Figures of webhooks")]
    exported = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"^\| `(\w+)", page, re.MULTILINE))
    outward = ("agent_bus_webhook_", "agent_bus_channel_")
    assert exported == {one for one in documented if not one.startswith(outward)}  # there are none
    begins = ("agent_bus_hub_", "agent_bus_database_", "agent_bus_etcd_", "agent_bus_barrier_")
    theirs = {name for name in exported if name.startswith(begins)} - {"agent_bus_database_bytes"}
    assert set(re.findall(r"^\| `(\w+)", of_hubs, re.MULTILINE)) == theirs


def test_of_a_database_of_somebody_else_there_is_what_it_says_itself(tmp_path: Path) -> None:
    with hubs_in(tmp_path) as hubs:
        wait_until(lambda: cluster(hubs[0])["database"]["there"] == 1, "its first look")
        found = cluster(hubs[0])
    (only,) = found["database"]["members"]
    assert (only["role"], only["state"], found["database"]["needed"]) == ("primary", "running", 1)
    assert found["etcd"] is None


@ON_SQLITE
def test_a_hub_alone_on_sqlite_tells_of_itself_and_exports_nothing_of_others(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as hub:
        found = cluster(hub)
        assert [(one["live"], one["answers"]) for one in found["hubs"]] == [(True, True)]
        assert (found["database"], found["etcd"], found["words"]) == (None, None, [])
        assert "agent_bus_hub_up" not in scrape(hub)[1]
