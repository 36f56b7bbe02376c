from __future__ import annotations

import itertools

import pytest

from agent_bus.server.gunicorn_conf import Beat


@pytest.mark.parametrize("poll_s", [0.1, 0.4, 3.0, 14.0])
def test_the_watchdog_is_fed_in_time_however_long_a_poll_takes(poll_s: float) -> None:
    """A loop that is slow is not a loop that hangs."""
    beat, now, fed = Beat(30.0, now=100.0), 100.0, [100.0]
    while now < 400:
        now += poll_s
        if beat.is_due(now):
            fed.append(now)
    pauses = [after - before for before, after in itertools.pairwise(fed)]
    assert max(pauses) < 30
    assert min(pauses) >= 15


def test_without_a_watchdog_there_is_no_beat() -> None:
    beat = Beat(0.0, now=100.0)
    assert not any(beat.is_due(now) for now in (100.0, 200.0, 1e9))
