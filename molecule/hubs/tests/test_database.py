"""The database's primary moves; its Patroni is killed, then its host; all of it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.database import Database

LEASE_S = 60
"""Patroni's lease is 20 s; the rest is for a busy machine."""


def test_the_primary_moves_when_told(database: Database) -> None:
    leader = database.leader(asked=database.hubs[0])
    heir = database.others(leader)[0]
    until(lambda: database.is_whole(asked=heir), what="a whole cluster")
    database.running.on(
        heir, f"sudo agent-bus-patronictl switchover --force --primary {leader} --candidate {heir}"
    )
    until(lambda: database.leader(asked=heir) == heir, what=f"{heir} leads")
    until(lambda: database.is_whole(asked=leader), what=f"{leader} follows", seconds=LEASE_S)


def test_a_killed_patroni_changes_nothing(database: Database) -> None:
    leader = database.leader(asked=database.hubs[0])
    since = database.ask(leader, "SELECT pg_postmaster_start_time()")
    unit = "agent-bus-database.service"
    database.running.on(leader, f"sudo systemctl kill --kill-who=main --signal=KILL {unit}")
    until(
        lambda: (
            database.running.on(leader, f"systemctl is-active {unit}; true").strip() == "active"
        ),
        what="systemd starts Patroni again",
    )
    until(lambda: database.is_whole(asked=leader), what="a whole cluster")
    assert database.leader(asked=leader) == leader
    assert database.ask(leader, "SELECT pg_postmaster_start_time()") == since


def test_another_leads_once_the_primarys_host_is_dead_and_it_comes_back_as_a_replica(
    database: Database,
) -> None:
    leader = database.leader(asked=database.hubs[0])
    left = database.others(leader)
    database.ask(leader, "CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one")
    database.kill_host(leader)
    until(
        lambda: database.leader(asked=left[0]) in left,
        what=f"another than {leader} leads",
        seconds=LEASE_S,
    )
    heir = database.leader(asked=left[0])
    assert database.ask(heir, "SELECT one FROM kept") == "1"
    database.ask(heir, "DROP TABLE kept")  # which a majority has to confirm
    database.start_host(leader)
    until(
        lambda: database.is_whole(asked=heir),
        what=f"{leader} is back as a replica",
        seconds=LEASE_S,
    )
    assert database.leader(asked=heir) == heir
