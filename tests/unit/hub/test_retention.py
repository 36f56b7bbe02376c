from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.retention import SWEEP_LIMIT, Housekeeper
from tests.support.bus import bus_in
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import BETA, draft

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sweep_does_all_there_is_to_do(tmp_path: Path) -> None:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as bus:
        keeper = Housekeeper(bus, sweep_interval_s=60, retain_read_days=7, retain_archive_days=365)
        total = SWEEP_LIMIT + 50
        for _ in range(total):
            bus.store.send(draft(expires_in_s=60), hop_limit=50)
        clock.advance(61)
        assert keeper.sweep() == total
        assert bus.mailbox(BETA).unread == bus.mailbox(BETA).unfetched == 0
        clock.advance(8 * DAY_S)
        assert keeper.sweep() == total  # to the archive
        clock.advance(366 * DAY_S)
        assert keeper.sweep() == total  # and gone
        assert keeper.sweep() == 0
