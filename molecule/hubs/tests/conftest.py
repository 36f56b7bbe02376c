from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.probe.database import Database

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet


@pytest.fixture
def database(running: RunningFleet) -> Database:
    return Database(running, sorted(running.up.inventory.hub))
