"""The fleet that is asked: the one of molecule's create step, or FLEET=demo for the demo's."""

from __future__ import annotations

import os

import pytest

from lab.running import RunningFleet


@pytest.fixture
def running() -> RunningFleet:
    return RunningFleet(os.environ.get("FLEET", "molecule"))
