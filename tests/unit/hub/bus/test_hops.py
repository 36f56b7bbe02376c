"""Hops from the moment that they happen to the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_bus.core.model import Stamp
from tests.support.bus import bus_in
from tests.support.clock import FakeClock
from tests.support.store import BETA, draft

if TYPE_CHECKING:
    from pathlib import Path


def test_hops_are_kept_until_they_are_flushed(tmp_path: Path) -> None:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as core:
        sent = core.bus.send(draft())
        core.hops.note_pushed(
            [core.fanout.entry_of(sent.deliveries[0], committed=clock.monotonic())]
        )
        core.hops.note_report(Stamp("received", BETA, sent.deliveries[0].seq, 5, up_to=True))
        core.hops.flush()
        core.hops.flush()
        core.store.fetch(BETA, [])  # a later command: the lazy ones are done
        found = core.store.message(sent.message.id)
        assert found is not None
        assert found[1][0].pushed_at == clock.now_ms()
        assert found[1][0].received_at == 5
