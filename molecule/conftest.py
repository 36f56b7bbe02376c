"""The fleet that is asked: molecule.yml names it in FLEET; by hand, FLEET=demo asks the demo's."""

from __future__ import annotations

import os

import pytest

from lab.running import RunningFleet


@pytest.fixture
def running() -> RunningFleet:
    return RunningFleet(os.environ["FLEET"])
