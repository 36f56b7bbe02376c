"""What is known of the hubs and their database, put together from several sources."""

from __future__ import annotations

import dataclasses

from agent_bus.operate.hubs import facts, rows
from agent_bus.operate.hubs.facts import ClusterState, HubState
from agent_bus.runtime.database_host import Etcd, Host, PatroniMember
from agent_bus.store.contract import Replication, Standby

NAMES = ("elm", "fir", "gorse")
HEALTHY = Etcd(is_healthy=True, has_leader=True, is_leader=False, size_bytes=1, quota_bytes=100)
LEADER = dataclasses.replace(HEALTHY, is_leader=True)


def patroni(name: str, *, is_leader: bool = False, state: str = "streaming") -> PatroniMember:
    return PatroniMember(
        name, f"{name}.lan", is_leader, is_sync=not is_leader,
        state="running" if is_leader else state, timeline=2, lag_bytes=7,
    )  # fmt: skip


def sql(*standbys: str, lag_bytes: int | None = 0) -> Replication:
    found = tuple(
        Standby(name, "streaming", is_sync=True, lag_bytes=lag_bytes, lag_s=0.0)
        for name in standbys
    )
    return Replication("10.0.0.1", is_primary=True, timeline=2, needed=1, standbys=found)


WHOLE = Host(
    members=(patroni("elm", is_leader=True), patroni("fir"), patroni("gorse")),
    own=patroni("elm", is_leader=True),
    etcd=LEADER,
)


def state(
    host: Host = WHOLE,
    said: Replication | None = None,
    *,
    told: dict[str, PatroniMember] | None = None,
    etcds: dict[str, Etcd] | None = None,
    acked_s: float = 0.5,
    is_fenced: bool = False,
    lost: tuple[str, ...] = (),
) -> ClusterState:
    hubs = tuple(
        HubState(
            name, f"http://{name}:8091", "1", is_live=name not in lost, answers=name == "elm",
            seen_at=1000,
        )
        for name in NAMES
    )  # fmt: skip
    members = facts.members_of(NAMES, host, told or {}, said)
    others = {"fir": HEALTHY, "gorse": HEALTHY} if etcds is None else etcds
    return ClusterState(
        hubs, members, facts.etcds_of(NAMES, "elm", host, others),
        needed=facts.needed(said, len(members)), is_fenced=is_fenced, acked_s=acked_s,
        is_paused=host.is_paused,
    )  # fmt: skip


def test_a_whole_fleet_has_a_primary_two_standbys_and_no_alert() -> None:
    whole = state(said=sql("fir", "gorse"))
    assert [one.role for one in whole.members] == ["primary", "standby", "standby"]
    assert (whole.there_count, whole.needed, whole.healthy_count) == (3, 2, 3)
    assert (whole.primary and whole.primary.name, whole.etcd_leader) == ("elm", "elm")
    assert rows.words(whole) == [
        "Hubs: 3 of 3 live",
        "Database: 3 of 3 members there, 2 needed; primary elm (timeline 2)",
        "etcd: 3 of 3 members healthy; leader elm",
    ]
    figures = whole.figures
    assert (figures.lost_hubs, figures.lost_members, figures.silent_etcds) == ((), (), ())
    assert figures.has_etcd_leader


def test_a_standby_that_the_primary_does_not_know_is_not_there() -> None:
    """Patroni lists a member for some seconds after its host has died."""
    found = state(said=sql("fir"))
    assert [one.is_there for one in found.members] == [True, True, False]
    assert found.members[2].state == "not connected"
    assert found.figures.lost_members == ("gorse",)


def test_a_member_of_whom_nobody_hears_is_lost() -> None:
    host = dataclasses.replace(WHOLE, members=WHOLE.members and WHOLE.members[:2])
    found = state(host, sql("fir"), lost=("gorse",), etcds={"fir": HEALTHY})
    assert (found.members[2].state, found.members[2].role) == (facts.LOST, None)
    assert found.figures.lost_hubs == ("gorse",)
    assert found.figures.silent_etcds == (), "of another host's etcd nobody says anything"
    shown = {row["name"]: row for row in rows.table(found)}
    assert (shown["gorse"]["hub"], shown["gorse"]["database"], shown["gorse"]["etcd"]) == (
        "lost",
        "lost",
        "unknown",
    )
    assert shown["gorse"]["seen_at"]


def test_what_a_standby_lags_is_said_by_the_primary_or_else_by_patroni() -> None:
    assert state(said=sql("fir", "gorse", lag_bytes=3)).members[1].lag_bytes == 3
    assert state(said=sql("fir", "gorse", lag_bytes=None)).members[1].lag_bytes == 7
    assert state(said=None).members[1].lag_bytes == 7


def test_without_etcds_majority_the_members_are_known_from_each_others_words() -> None:
    host = Host(own=patroni("elm", is_leader=True), etcd=dataclasses.replace(
        HEALTHY, is_healthy=False, has_leader=False))  # fmt: skip
    silent = {"fir": dataclasses.replace(HEALTHY, is_healthy=False, has_leader=False)}
    found = state(host, sql("fir", "gorse"), told={"fir": patroni("fir")}, etcds=silent)
    assert [one.role for one in found.members] == ["primary", "standby", "standby"]
    assert found.there_count == 3
    assert not found.has_etcd_leader
    assert found.figures.silent_etcds == ("elm", "fir")
    assert "leader NONE" in rows.words(found)[-1]


def test_without_a_primary_no_member_counts_as_one() -> None:
    found = state(acked_s=40.0, is_fenced=True)
    assert found.primary is None
    assert found.figures.without_primary_s == 40.0
    assert rows.words(found)[0].endswith("this one is fenced")
    assert "no primary for 40 s" in rows.words(found)[1]
    assert rows.cluster(found)["database"]["fenced"]


def test_a_database_of_somebody_else_is_known_by_what_it_says_itself() -> None:
    """Without Patroni and etcd; and a role that may not look sees its standbys' names alone."""
    said = Replication(
        "10.0.0.9", is_primary=True, timeline=5, needed=0,
        standbys=(Standby("walreceiver", "", is_sync=False, lag_bytes=None, lag_s=None),),
    )  # fmt: skip
    members = facts.members_of((), Host(), {}, said)
    assert [(one.name, one.role, one.is_there) for one in members] == [
        ("10.0.0.9", "primary", True),
        ("walreceiver", "standby", True),
    ]
    assert facts.needed(said, 2) == 1
    assert facts.etcds_of((), "elm", Host(), {}) == ()
    assert facts.members_of((), Host(), {}, None) == ()


def test_a_pause_of_patroni_is_said() -> None:
    assert any(
        "paused" in line for line in rows.words(state(dataclasses.replace(WHOLE, is_paused=True)))
    )


def test_a_standby_that_replies_no_more_is_silent_before_the_primary_drops_it() -> None:
    """A primary lists a standby whose host is dead for a minute, if there is nothing to send."""
    replies = facts.Replies()

    def said(fir: float, gorse: float | None) -> Replication:
        standbys = [
            dataclasses.replace(one, replied_at=at)
            for one, at in zip(sql("fir", "gorse").standbys, (fir, gorse), strict=True)
        ]
        return dataclasses.replace(sql(), standbys=tuple(standbys))

    assert replies.judged(said(5000.0, None), 100.0) == said(5000.0, None)
    later = replies.judged(said(5000.0, None), 101.0 + facts.SILENT_S)
    assert [one.state for one in later.standbys] == [facts.SILENT, "streaming"]
    assert not state(said=later).members[1].is_there
    assert state(said=later).figures.there == 2
    again = replies.judged(said(5001.0, None), 102.0 + facts.SILENT_S)
    assert [one.state for one in again.standbys] == ["streaming", "streaming"]


def test_what_patroni_read_before_etcd_lost_its_majority_counts_no_more() -> None:
    """It goes on to answer with it; so two hosts that died would stay members for ever."""
    alone = dataclasses.replace(HEALTHY, is_healthy=False, has_leader=False)
    host = dataclasses.replace(WHOLE, etcd=alone)
    found = state(host, None, etcds={}, acked_s=40.0)
    assert [one.state for one in found.members] == ["running", facts.UNKNOWN, facts.UNKNOWN]
    assert (found.there_count, found.needed) == (1, 2)
    at_standby = dataclasses.replace(host, own=patroni("fir"))
    found = state(at_standby, sql("fir", "gorse"), etcds={})
    assert found.there_count == 3, "the primary itself says so"
