"""What runs out, as the hub sees it, by a clock that the test moves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from agent_bus.app.parts import build_reserves
from agent_bus.core.clock import DAY_MS
from agent_bus.core.model import AgentName, NodeName, Roster
from agent_bus.core.slices import SweepBounds
from agent_bus.operate import reserves
from tests.support.bus import bus_in, settings_in
from tests.support.certificates import Authority
from tests.support.clock import FakeClock
from tests.support.store import BETA, ROSTER, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core

OLD, NEW, NEWER = "a" * 64, "b" * 64, "c" * 64
N1 = NodeName("n1")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock) as one:
        yield one


def with_tokens(core: Core, *digests: str) -> None:
    roster = Roster(
        agents=ROSTER.agents, groups=ROSTER.groups, tokens={**ROSTER.tokens, N1: digests}
    )
    core.bus.put_roster(roster, force=False, dry_run=False)


def test_a_databases_certificate_that_was_renewed_meanwhile_is_read_again(
    core: Core, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "tls")
    authority.issue("member", days=10)
    path = tmp_path / "tls/member.crt"
    watched = build_reserves(
        settings_in(tmp_path, database_certificate_file=path), core, admin_tokens=1
    )
    before = watched.look().certificates["database"]
    assert any(
        line.startswith("Certificate of the database") for line in reserves.words(watched.look())
    )
    authority.issue("member", days=100)
    os.utime(path, ns=(1, 1))
    assert round((watched.look().certificates["database"] - before) / DAY_MS) == 90
    path.unlink()
    assert watched.look().certificates == {}


def test_both_certificates_are_told_with_their_ends(core: Core, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    settings = settings_in(
        tmp_path, **authority.issue("hub", days=10), tls_ca_file=authority.ca_file
    )
    found = build_reserves(settings, core, admin_tokens=1).look()
    assert set(found.certificates) == {"hub", "authority"}
    assert 3500 < (found.certificates["authority"] - found.certificates["hub"]) / DAY_MS < 3700
    assert [line.partition(":")[0] for line in reserves.words(found)[:2]] == [
        "Certificate", "Certificate of the authority",
    ]  # fmt: skip
    assert reserves.facts(found)["certificates"][0]["name"] == "hub"
    assert build_reserves(settings_in(tmp_path), core, admin_tokens=1).look().certificates == {}


def test_a_rotation_counts_from_when_the_second_token_came_also_after_a_restart(
    core: Core, tmp_path: Path, clock: FakeClock
) -> None:
    with_tokens(core, OLD)
    assert build_reserves(settings_in(tmp_path), core, admin_tokens=1).look().rotating == {}
    clock.advance(3600)
    began = clock.now_ms()
    with_tokens(core, OLD, NEW)
    clock.advance(3600)
    with_tokens(core, NEW, OLD)  # the same ones, by another run of site.yml
    again = build_reserves(
        settings_in(tmp_path), core, admin_tokens=1
    )  # what a hub that restarts has
    assert again.look().rotating == {"n1": began}
    assert "n1" in reserves.words(again.look())[-1]
    clock.advance(3600)
    with_tokens(core, NEW, NEWER)
    assert again.look().rotating == {"n1": clock.now_ms()}
    with_tokens(core, NEWER)
    assert again.look().rotating == {}
    two = build_reserves(settings_in(tmp_path), core, admin_tokens=2).look()
    assert list(two.rotating) == [reserves.ADMIN]


def test_without_a_backup_the_age_is_the_rosters(
    core: Core, tmp_path: Path, clock: FakeClock
) -> None:
    one = build_reserves(settings_in(tmp_path), core, admin_tokens=1)
    began = one.look().backup_age_s
    clock.advance(1000)
    assert one.look().backup_age_s == began + 1000
    assert "Backup: none on the hub" in reserves.words(one.look())
    folder = tmp_path / "backups"
    folder.mkdir()
    for name, age_s in (("bus-1.db", 500), ("bus-2.db", 200), (".bus-3.db.part", 0)):
        (folder / name).write_text("")
        at = clock.now_ms() / 1000 - age_s
        os.utime(folder / name, (at, at))
    assert one.look().backup_age_s == 200
    assert reserves.facts(one.look())["backup_at"]


def test_the_archive_is_as_old_as_its_oldest_message(
    core: Core, tmp_path: Path, clock: FakeClock
) -> None:
    one = build_reserves(settings_in(tmp_path), core, admin_tokens=1)
    assert one.look().archive_age_s == 0
    sent = core.bus.send(draft())
    core.store.ack_ids(AgentName(BETA), [sent.message.id])
    clock.advance(10)
    core.store.sweep(SweepBounds(retain_read_ms=5_000, retain_archive_ms=10**9, limit=100))
    clock.advance(700)
    assert one.look().archive_age_s == pytest.approx(700, abs=1)
    assert one.look().retain_archive_ms == 365 * DAY_MS


def test_when_the_disk_is_full_is_drawn_from_hours_and_not_from_minutes(
    core: Core, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [100.0]

    def statvfs(_path: object) -> os.statvfs_result:
        return os.statvfs_result((1, 1_000_000, 200, 0, int(room[0]), 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    one = build_reserves(settings_in(tmp_path), core, admin_tokens=1)
    seen = []
    for _ in range(90):
        seen.append(one.look().disk_full_at)
        clock.advance(60)
        room[0] -= 0.5
    assert seen[:60] == [None] * 60
    left = one.look()
    assert left.disk_full_at is not None
    assert (left.disk_full_at - clock.now_ms()) / 60_000 == pytest.approx(110, abs=3)
    assert (left.disk_free_bytes, left.disk_total_bytes) == (55_000_000, 200_000_000)
    room[0] = 150
    assert one.look().disk_full_at is None
