"""The fleet that molecule's create step has made."""

from __future__ import annotations

import pytest

from lab.running import RunningFleet


@pytest.fixture
def running() -> RunningFleet:
    return RunningFleet("molecule")
