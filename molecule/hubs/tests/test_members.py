"""What the database of three hubs is, at rest."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lab.probe.running import until

if TYPE_CHECKING:
    from lab.probe.database import Database

SETTINGS = {
    "ttl": 20,
    "loop_wait": 2,
    "synchronous_mode": "quorum",
    "synchronous_mode_strict": True,
    "failsafe_mode": True,
}


def test_one_member_leads_and_the_others_are_quorum_standbys(database: Database) -> None:
    for hub in database.hubs:
        until(partial(database.is_whole, asked=hub), what=f"{hub} sees a whole cluster")
    assert len(database.members(asked=database.hubs[0])) == len(database.hubs)


def test_a_commit_waits_for_a_standby(database: Database) -> None:
    leader = database.leader(asked=database.hubs[0])
    names = database.ask(leader, "SHOW synchronous_standby_names")
    assert names.startswith("ANY 1 ("), names
    assert database.ask(leader, "SHOW data_checksums") == "on"
    collation = "SELECT DISTINCT datcollate FROM pg_database"
    assert database.ask(leader, collation) == "C"


def test_systemd_starts_only_what_the_rollout_has_made(database: Database) -> None:
    for hub in database.hubs:
        masked = database.running.on(hub, "systemctl is-enabled postgresql etcd; true").split()
        assert masked == ["masked", "masked"]
        clusters = database.running.on(hub, "ls /etc/postgresql /var/lib/postgresql; true")
        assert "main" not in clusters


def test_nobody_reads_a_password_or_a_key(database: Database) -> None:
    find = "sudo find /etc/agent-bus-database /var/lib/agent-bus-postgres -type f -perm /077"
    for hub in database.hubs:
        open_files = database.running.on(hub, f"{find}; true").split()
        assert [f for f in open_files if not f.endswith((".crt", ".applied"))] == []


def test_strangers_are_refused(database: Database) -> None:
    """Neither etcd nor PostgreSQL nor a change of Patroni is had without the fleet's secrets."""
    hub = database.hubs[0]
    curl = "curl -sk --noproxy '*' -o /dev/null -w '%{http_code}'"
    assert database.running.on(hub, f"{curl} https://{hub}:2379/version; true") == "000"
    asked = f"{curl} -X POST https://{hub}:8008/restart"
    assert database.running.on(hub, f"{asked}; true") in {"401", "403"}
    url = f"postgresql://agent_bus@{hub}/agent_bus"
    for mode in ("disable", "require"):
        words = f"psql -w '{url}?sslmode={mode}' -c 'SELECT 1' 2>&1; true"
        answer = database.running.on(hub, words)
        assert "no pg_hba.conf entry" in answer or "no password supplied" in answer, answer
