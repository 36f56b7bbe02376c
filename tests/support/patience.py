"""How long tests wait: every deadline of the tests is made here.

A deadline only keeps a test from hanging, so it is generous. It also grows with the slowness of
the machine at the start of the run (`slowness`, shown in pytest's header). No test asserts a time
on the clock: an event, an order or a ratio shows that something is prompt.

    wait_until(lambda: hub.streams_open() == 2, "both streams are open")
    subprocess.run(argv, timeout=patience(), check=True)
    socket.create_connection(address, timeout=patience())
    process.wait(patience(300))  # known to take long: a minute or so on a quiet machine
    page.set_default_timeout(patience() * 1000)  # Playwright counts in milliseconds

Where pytest has no `tests/conftest.py` (molecule's), its conftest shows `header()`.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

DEADLINE_S = 60.0
"""For anything that takes up to a few seconds on a quiet machine."""
POLL_INTERVAL_S = 0.01
_VARIABLE = "AGENT_BUS_TESTS_SLOWNESS"  # every process that a run starts shares one figure
_USUAL_COUNT_MS = 25.0  # of a small machine with nothing else to do
_USUAL_SYNC_MS = 2.0
_SLOWEST = 8.0  # with more, a test that hangs would hold up the run for too long


def patience(seconds: float = DEADLINE_S) -> float:
    """Seconds to wait for something that takes far less than `seconds` on a quiet machine."""
    return seconds * slowness()


def wait_until(
    condition: Callable[[], T],
    what: str = "",
    *,
    seconds: float = DEADLINE_S,
    pause: Callable[[float], object] = time.sleep,
) -> T:
    """The first true value of `condition`; fails the test if there is none in time.

    Args:
        what: the awaited state as a clause, for the failure: "all watchers are back".
        seconds: scaled by `patience`.
        pause: `gevent.sleep` where greenlets of this process have to go on in the meantime.
    """
    allowed_s = patience(seconds)
    deadline = time.monotonic() + allowed_s
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {allowed_s:.0f} s: {what or condition}")
        pause(POLL_INTERVAL_S)


def slowness() -> float:
    """How many times slower this is than a small quiet machine; a run's first call measures it.

    Between 1 and 8: the larger ratio of counting on a core and of a synced write of 4 KiB.
    """
    if _VARIABLE not in os.environ:
        ratio = max(_count_ms() / _USUAL_COUNT_MS, _sync_ms() / _USUAL_SYNC_MS)
        os.environ[_VARIABLE] = f"{min(max(ratio, 1.0), _SLOWEST):.1f}"
    return float(os.environ[_VARIABLE])


def header() -> str:
    """One line for pytest's header."""
    return f"deadlines: {slowness():.1f} times those of a quiet machine, {patience():.0f} s mostly"


def _count_ms() -> float:
    """The slowest of five: a neighbour that is busy only now and then counts, too."""
    took_s = 0.0
    for _ in range(5):
        began = time.perf_counter()
        sum(number * number % 7 for number in range(300_000))
        took_s = max(took_s, time.perf_counter() - began)
    return took_s * 1000


def _sync_ms() -> float:
    """The mean of twenty."""
    with tempfile.TemporaryFile() as file:
        began = time.perf_counter()
        for _ in range(20):
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    return (time.perf_counter() - began) * 1000 / 20
