"""What one hub hears from another about its host, whatever release that runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from agent_bus.operate.hubs.watch import STALE_S, HubsWatch
from agent_bus.runtime.database_host import Etcd
from agent_bus.store.cluster import Alone, HubFacts, Writing
from tests.support.bus import settings_in
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("elm", "fir")
HEALTHY = Etcd(is_healthy=True, has_leader=True, is_leader=True, size_bytes=1, quota_bytes=100)


class Plural(Alone):
    """A cluster of two hubs that both live."""

    is_plural = True  # type: ignore[misc] # the one thing that is not so

    def hubs(self) -> list[HubFacts]:
        known = (*NAMES, "taken-out")
        return [HubFacts(name, None, "1", is_alive=name in NAMES, seen_at=1) for name in known]

    def writing(self) -> Any:
        return Writing(0.5, 60.0)


class NoReplication:
    """A database that says nothing of its servers."""

    def replication(self) -> None:
        return None


def watch(folder: Path, clock: FakeClock) -> HubsWatch:
    settings = settings_in(
        folder,
        name="elm",
        etcd_metrics_url="http://127.0.0.1:1",
        hubs=[{"name": name, "url": f"http://{name}:8091"} for name in NAMES],
    )
    vitals: Any = NoReplication()
    one = HubsWatch(settings=settings, cluster=Plural(), vitals=vitals, clock=clock, version="2")
    one.look()
    return one


def test_what_another_hub_tells_counts_for_a_while_and_its_backup_for_good(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    one = watch(tmp_path, clock)
    assert one.backup_at() is None
    one.hear("fir:0a1b", {"etcd": dataclasses.asdict(HEALTHY), "patroni": None, "backup_at": 7})
    one.hear("fir:0a1b", {})
    state = one.state
    assert state is not None
    assert (state.etcd_leader, state.live_count) == ("fir", 2)
    assert state.figures.lost_hubs == (), "one that is no longer in the settings is not missed"
    assert [etcd.is_healthy for etcd in state.etcds] == [False, True]
    clock.advance(STALE_S)
    state = one.state
    assert state is not None
    assert [etcd.is_healthy for etcd in state.etcds] == [False, None]
    assert one.backup_at() == 7


def test_fields_of_another_release_are_passed_over(tmp_path: Path) -> None:
    one = watch(tmp_path, FakeClock())
    newer = {**dataclasses.asdict(HEALTHY), "mood": "fine"}
    one.hear("fir:0a1b", {"etcd": newer, "patroni": {"name": "fir"}, "weather": "dull"})
    state = one.state
    assert state is not None
    assert state.etcds[1].is_healthy
    assert [member.state for member in state.members] == ["lost", "lost"], "not enough was told"


def test_what_the_own_host_says_is_told_once(tmp_path: Path) -> None:
    one = watch(tmp_path, FakeClock())
    told = one.take_told()
    assert (told["patroni"], told["backup_at"], told["etcd"]["is_healthy"]) == (None, None, False)
    assert one.take_told() == {}
