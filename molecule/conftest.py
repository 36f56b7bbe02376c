"""The fleet that is asked: molecule.yml names it in FLEET; by hand, FLEET=demo asks the demo's.

Ansible keeps pytest's output to the end, so each test is announced as it begins and ends.
"""

from __future__ import annotations

import os

import pytest

from lab.probe.running import RunningFleet
from lab.progress import doing, tell
from tests.support import patience


def pytest_report_header() -> str:
    return patience.header()


def pytest_runtest_logstart(nodeid: str) -> None:
    doing(nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.failed:
        tell(f"{report.outcome.upper()} {report.nodeid} ({report.duration:.1f} s)")


@pytest.fixture
def running() -> RunningFleet:
    return RunningFleet(os.environ["FLEET"])
