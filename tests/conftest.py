from __future__ import annotations

from tests.support import patience


def pytest_configure() -> None:
    patience.slowness()  # before workers are started, which share the figure


def pytest_report_header() -> str:
    return patience.header()
