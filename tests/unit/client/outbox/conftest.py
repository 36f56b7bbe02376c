from __future__ import annotations

import pytest

from agent_bus_client.outbox.clock import Clock


class Machine:
    """A machine whose wall clock somebody sets."""

    def __init__(self) -> None:
        self.wall_s, self.counted_s, self.boot = 1_790_000_000.0, 100.0, "first"
        self.clock = Clock(lambda: self.wall_s, lambda: self.counted_s, lambda: self.boot)

    def wait(self, seconds: float) -> None:
        self.wall_s += seconds
        self.counted_s += seconds

    def reboot(self) -> None:
        self.counted_s, self.boot = 5.0, "second"


@pytest.fixture
def machine() -> Machine:
    return Machine()
