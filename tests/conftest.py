from __future__ import annotations

import ctypes
import signal
from typing import TYPE_CHECKING

from tests.support import patience
from tests.support.report import Report

if TYPE_CHECKING:
    import pytest

PR_SET_PDEATHSIG = 1  # prctl(2)


def pytest_configure(config: pytest.Config) -> None:
    patience.slowness()  # before workers are started, which share the figure
    config.pluginmanager.register(Report(config))
    if hasattr(config, "workerinput"):  # a worker of xdist goes with the run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pytest_report_header() -> str:
    return patience.header()
