from __future__ import annotations

import ctypes
import signal
from typing import TYPE_CHECKING

from tests.support import patience, postgres
from tests.support.report import Report

if TYPE_CHECKING:
    import pytest

PR_SET_PDEATHSIG = 1  # prctl(2)


def pytest_configure(config: pytest.Config) -> None:
    take_interrupts()
    patience.slowness()  # before workers are started, which share the figure
    config.pluginmanager.register(Report(config))
    if hasattr(config, "workerinput"):  # a worker of xdist goes with the run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        postgres.share_server()


def take_interrupts() -> None:
    """Let an interrupt end what tests start, also in a run that a script put into the background.

    A shell without job control has such programs ignore SIGINT, and so do all that they start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    return patience.header()
