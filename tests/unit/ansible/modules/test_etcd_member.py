from __future__ import annotations

from typing import Any, ClassVar

import pytest

from library import etcd_member

PEERS = {"a": "https://a:2380", "b": "https://b:2380", "c": "https://c:2380"}
EVERYONE = "a=https://a:2380,b=https://b:2380,c=https://c:2380"


def member(name: str, host: str, *, number: int = 1, started: bool = True) -> dict[str, Any]:
    clients = {"clientURLs": [f"https://{host}:2379"]} if started else {}
    return {"ID": number, "name": name, "peerURLs": [f"https://{host}:2380"], **clients}


class Module:
    """Stands for Ansible's."""

    check_mode = False
    params: ClassVar = {"name": "c", "peers": PEERS, "tls": []}


class Cluster(etcd_member.Cluster):
    """A cluster that does what it is told."""

    def __init__(self, members: list[dict[str, Any]]) -> None:
        self.members = members
        self.done: list[tuple[str, ...]] = []

    def change(self, *words: str) -> None:
        self.done.append(words)
        if words[0] == "remove":
            self.members = [one for one in self.members if f"{one['ID']:x}" != words[1]]
        else:
            self.members = [*self.members, member("", words[1], started=False)]


def come_in(*members: dict[str, Any]) -> tuple[str, str, list[tuple[str, ...]]]:
    cluster = Cluster(list(members))
    state, everyone = etcd_member.come_in(Module(), cluster)
    return state, everyone, cluster.done


def test_a_cluster_that_is_not_there_is_begun_by_all() -> None:
    assert come_in() == ("new", EVERYONE, [])


def test_who_is_late_at_the_beginning_begins_like_the_others() -> None:
    late = member("c", "c", started=False)
    assert come_in(member("a", "a"), member("b", "b"), late) == ("new", EVERYONE, [])


def test_a_new_host_is_added_before_it_starts() -> None:
    state, everyone, done = come_in(member("a", "a"), member("b", "b"))
    assert (state, everyone) == ("existing", EVERYONE)
    assert done == [("add", "c", "--peer-urls=https://c:2380")]


def test_one_that_was_added_and_never_started_is_not_added_again() -> None:
    added = member("", "c", started=False)
    state, everyone, done = come_in(member("a", "a"), member("b", "b"), added)
    assert (state, everyone, done) == ("existing", EVERYONE, [])


def test_who_lost_its_data_comes_in_anew() -> None:
    state, _, done = come_in(member("a", "a"), member("b", "b"), member("c", "c", number=255))
    assert state == "existing"
    assert done == [("remove", "ff"), ("add", "c", "--peer-urls=https://c:2380")]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([member("a", "a"), member("gone", "gone")], ["gone"]),
        ([member("a", "a"), member("", "c", started=False)], []),
        ([member("a", "other")], []),
    ],
)
def test_who_left_the_inventory_is_a_stranger(
    members: list[dict[str, Any]], expected: list[str]
) -> None:
    assert [one["name"] for one in etcd_member.strangers(members, PEERS)] == expected
