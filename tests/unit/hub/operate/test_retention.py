from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from agent_bus.app.parts import build_housekeeper
from agent_bus.core.clock import SystemClock
from agent_bus.operate.retention import SWEEP_LIMIT
from tests.support.bus import bus_in, settings_in
from tests.support.clock import DAY_S, FakeClock
from tests.support.patience import wait_until
from tests.support.store import BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus.app.assembly import Core


@contextlib.contextmanager
def sweeping(core: Core) -> Iterator[None]:
    """A housekeeper that sweeps within a test only when something expires."""
    keeper = build_housekeeper(settings_in(Path("/nowhere"), sweep_interval_s=3600), core)
    core.observers.append(keeper)
    job = gevent.spawn(keeper._sweep_forever)
    try:
        yield
    finally:
        job.kill()


def left(core: Core, count: int) -> None:
    """Wait until this many of beta's deliveries are unfetched."""
    what = f"{count} are left"
    wait_until(lambda: core.counters.mailbox(BETA).unfetched == count, what, pause=gevent.sleep)


def test_what_expires_is_swept_at_once_whatever_the_interval(tmp_path: Path) -> None:
    with bus_in(tmp_path, clock=SystemClock()) as core, sweeping(core):
        for expires_in_s in (3600, 1, 2):
            core.bus.send(draft(expires_in_s=expires_in_s))
        left(core, 1)
        core.bus.send(draft(expires_in_s=1))
        left(core, 1)


def test_what_expires_next_is_known_after_a_restart(tmp_path: Path) -> None:
    with bus_in(tmp_path, clock=SystemClock()) as core:
        core.bus.send(draft(expires_in_s=1))
        with sweeping(core):
            left(core, 0)


def test_a_sweep_does_all_there_is_to_do(tmp_path: Path) -> None:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as core:
        keeper = build_housekeeper(settings_in(Path("/nowhere"), sweep_interval_s=60), core)
        total = SWEEP_LIMIT + 50
        for _ in range(total):
            core.store.send(draft(expires_in_s=60), depth_limit=50)
        clock.advance(61)
        assert keeper.sweep() == total
        assert core.counters.mailbox(BETA).unread == core.counters.mailbox(BETA).unfetched == 0
        clock.advance(8 * DAY_S)
        assert keeper.sweep() == total  # to the archive
        clock.advance(366 * DAY_S)
        assert keeper.sweep() == total  # and gone
        assert keeper.sweep() == 0
