"""The fleet's traffic and the report, one for all faults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.faults.acts import Acts
from lab.faults.report import Report
from lab.faults.trial import Trial
from lab.paths import ROOT
from lab.probe.running import RunningFleet
from lab.traffic.hosts import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.faults.trial import Fault


@pytest.fixture(scope="session")
def fleet_under_traffic() -> Iterator[tuple[RunningFleet, Traffic]]:
    running = RunningFleet(os.environ["FLEET"])
    traffic = Traffic(running)
    traffic.start()
    yield running, traffic
    traffic.stop()


@pytest.fixture(scope="session")
def acts(fleet_under_traffic: tuple[RunningFleet, Traffic]) -> Acts:
    return Acts(*fleet_under_traffic)


@pytest.fixture(scope="session")
def report() -> Report:
    return Report(ROOT / ".cache")


@pytest.fixture
def endured(
    fleet_under_traffic: tuple[RunningFleet, Traffic], report: Report
) -> Callable[..., None]:
    """Run faults side by side; fail unless all heal and what was accepted is delivered once."""
    trial = Trial(*fleet_under_traffic)

    def run(*faults: Fault) -> None:
        rows = trial.run(faults)
        report.add(rows)
        assert {row.fault: row.trouble for row in rows if row.trouble} == {}

    return run
