"""What the programs of a hub's host say, and what is made of it when they do not."""

from __future__ import annotations

from agent_bus.runtime.database_host import Etcd, Host, OwnHost, patroni_itself
from tests.support.database_host import QUOTA, DatabaseHost, database_host, member

NAMES = ("elm", "fir", "gorse")


def asked(played: DatabaseHost, name: str = "fir") -> Host:
    return OwnHost(name, played.url, None, played.url).ask()


def test_a_whole_cluster_is_read_from_patroni_and_etcd() -> None:
    members = [member("gorse", lag=5000), member("elm", "leader"), member("fir")]
    with database_host(members=members) as played:
        found = asked(played)
    assert found.members is not None
    assert tuple(one.name for one in found.members) == NAMES
    assert [one.is_leader for one in found.members] == [True, False, False]
    assert [one.is_sync for one in found.members] == [False, True, True]
    assert [one.lag_bytes for one in found.members] == [None, 0, 5000]
    assert all(one.runs and one.timeline == 3 for one in found.members)
    assert found.own == found.members[1]
    assert found.etcd == Etcd(
        is_healthy=True, has_leader=True, is_leader=False, size_bytes=20_480, quota_bytes=QUOTA
    )
    assert not found.is_paused


def test_without_etcds_majority_a_patroni_knows_itself_alone() -> None:
    itself = {"state": "running", "role": "replica", "replication_state": "streaming"}
    with database_host(itself={**itself, "timeline": 4, "quorum_standby": True}) as played:
        played.etcd, played.is_healthy = {"has_leader": 0, "is_leader": 0, "size": 1}, False
        found = asked(played)
    assert found.members is None
    assert found.own is not None
    assert (found.own.name, found.own.is_leader, found.own.is_sync) == ("fir", False, True)
    assert (found.own.runs, found.own.timeline) == (True, 4)
    assert found.etcd is not None
    assert not found.etcd.is_healthy
    assert not found.etcd.has_leader


def test_what_does_not_answer_is_known_as_silent() -> None:
    with database_host(etcd=None) as played:
        assert asked(played) == Host()
    assert asked(played) == Host(), "nobody listens any more"


def test_a_pause_is_seen_and_odd_values_are_no_numbers() -> None:
    odd = member("fir", "replica", lag="unknown", state="starting", timeline=None)
    with database_host(members=[odd], is_paused=True) as played:
        found = asked(played)
    assert found.is_paused
    assert found.own is not None
    assert (found.own.lag_bytes, found.own.timeline, found.own.runs) == (None, None, False)
    assert patroni_itself("fir", {}).state == "not known"
