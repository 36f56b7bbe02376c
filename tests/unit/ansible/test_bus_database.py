"""What role bus_database makes of what hubs and Patroni say."""

from __future__ import annotations

from typing import Any

import pytest

from roles.bus_database.filter_plugins.bus_database import (
    database_host_errors,
    follows,
    is_in_place,
    newest_major,
    restart_order,
)

HOST = {
    "python": "3.11",
    "new_enough": True,
    "venv": True,
    "clusters": [],
    "foreign_etcd": False,
}


def test_a_host_without_a_database_is_fine() -> None:
    assert database_host_errors(HOST) == []


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ({"clusters": ["/etc/postgresql/15/main"]}, "a PostgreSQL of its own"),
        ({"foreign_etcd": True}, "an etcd of its own"),
        ({"venv": False}, "without the module venv"),
    ],
)
def test_a_host_that_cannot_take_part_is_told_why(differs: dict[str, Any], words: str) -> None:
    (error,) = database_host_errors({**HOST, **differs})
    assert words in error


def test_the_newest_server_counts() -> None:
    files = [{"path": f"/usr/lib/postgresql/{major}/bin/postgres"} for major in (9, 17, 15)]
    assert newest_major({"files": files}) == 17
    assert newest_major({}) == newest_major({"files": []}) == 0


def cluster(**members: tuple[str, str]) -> dict[str, Any]:
    entries = [{"name": n, "role": role, "state": state} for n, (role, state) in members.items()]
    return {"members": entries}


def test_a_member_is_in_place_once_it_runs_beside_a_leader_and_a_majority() -> None:
    whole = cluster(a=("leader", "running"), b=("quorum_standby", "streaming"))
    assert is_in_place(whole, "a", 2)
    assert is_in_place(whole, "b", 2)
    assert not is_in_place(whole, "c", 2)
    assert not is_in_place(whole, "a", 3)


@pytest.mark.parametrize(
    "found",
    [
        {},
        cluster(a=("leader", "running"), b=("replica", "creating replica")),
        cluster(a=("replica", "running"), b=("replica", "running")),
    ],
)
def test_it_is_not_in_place_before(found: dict[str, Any]) -> None:
    assert not is_in_place(found, "a", 2)


def test_standbys_are_restarted_before_the_primary_hands_over() -> None:
    def says(role: str, *, pending: bool = True, state: str = "running") -> dict[str, object]:
        more = {"pending_restart": True} if pending else {}
        return {"json": {"role": role, "state": state, **more}}

    assert restart_order(
        {"a": says("primary"), "b": says("replica"), "c": says("replica", pending=False)}
    ) == [{"name": "b", "heir": ""}, {"name": "a", "heir": "b"}]
    alone: dict[str, dict[str, Any]] = {
        "a": says("primary"),
        "b": {"failed": True},
        "c": says("replica", state="stopped"),
    }
    assert restart_order(alone)[-1] == {"name": "a", "heir": ""}
    assert restart_order({"a": says("primary", pending=False)}) == []


def test_a_member_follows_once_another_leads_and_it_streams() -> None:
    leads, streams = ("leader", "running"), ("quorum_standby", "streaming")
    assert follows(cluster(a=streams, b=leads), "a")
    assert not follows(cluster(a=leads, b=streams), "a")
    assert not follows(cluster(a=("replica", "starting"), b=leads), "a")
    assert not follows(cluster(a=streams, b=("replica", "streaming")), "a")
