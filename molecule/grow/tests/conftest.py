"""The operator of the lifecycle, with a fleet that gets more hubs."""

from __future__ import annotations

import os

import pytest

from lab.paths import fleet_dir
from lab.probe.running import RunningFleet
from molecule.lifecycle.tests.conftest import Operator

MORE_HUBS = """---
hub:
  hosts:
    fir:
    gorse:
"""


class GrowingOperator(Operator):
    """Names more hubs in the inventory, and takes them out again."""

    def name_more_hubs(self) -> None:
        """Put two hosts into group hub, beside the one that is there."""
        own = fleet_dir(self._running.up.name) / "more-hubs"
        own.mkdir(exist_ok=True)
        (own / "hosts.yml").write_text(MORE_HUBS)
        self._running.remake([*self._running.up.sources, own])

    def name_one_hub(self) -> None:
        """Take them out again."""
        own = fleet_dir(self._running.up.name) / "more-hubs"
        (own / "hosts.yml").write_text("---\nall: {}\n")
        self._running.remake(self._running.up.sources)


@pytest.fixture(scope="session")
def running() -> RunningFleet:
    """Return one for all tests: the fleet changes."""
    return RunningFleet(os.environ["FLEET"])


@pytest.fixture
def operator(running: RunningFleet) -> GrowingOperator:
    return GrowingOperator(running)
