from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lab.fleet import standing
from lab.probe.database import Database
from lab.probe.hub import LabHub

if TYPE_CHECKING:
    from lab.probe.running import RunningFleet


@pytest.fixture
def database(running: RunningFleet) -> Database:
    return Database(running, sorted(running.up.inventory.hub))


@pytest.fixture
def hubs(running: RunningFleet, database: Database) -> dict[str, LabHub]:
    """Return the API of each hub."""
    up, who = running.up, running.who
    return {
        hub: LabHub(up.name, standing.spec_of(up, hub).address, who.port, ca=who.ca)
        for hub in database.hubs
    }
