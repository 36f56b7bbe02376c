"""What a pytest run reports: which test runs now, how long each took, how many hubs it started.

Its last lines name the failed tests: of a run elsewhere, often only the end of the log is kept.

`make` sets AGENT_BUS_PART to the name of its target; the durations of that part are then kept in
.cache/durations, from which `python -m tests.slowest` prints the slowest of all parts.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from lab import progress
from lab.paths import ROOT
from tests.support.nursery import STARTS

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

DURATIONS = ROOT / ".cache" / "durations"


class Report:
    """A plugin, both in the main process and in each worker of xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._is_worker = hasattr(config, "workerinput")
        self._took_s: defaultdict[str, float] = defaultdict(float)
        self._hubs: Counter[str] = Counter()
        self._failed: dict[str, None] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Note the test's name, in case it is silent for long."""
        if not self._is_worker:
            progress.doing(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up what setup, call and teardown took; name a failure at once."""
        self._took_s[report.nodeid] += report.duration
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Name a file that cannot even be read."""
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self._is_worker:
            self._failed[report.nodeid] = None
            progress.tell(f"FAILED {report.nodeid} ({report.when})")

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker counted."""
        self._hubs.update(getattr(node, "workeroutput", {}).get("hubs", {}))

    def pytest_sessionfinish(self) -> None:
        """Pass on what was counted, or write it down."""
        self._hubs.update(STARTS)
        if self._is_worker:
            given: dict[str, Any] = vars(self._config)["workeroutput"]  # xdist put it there
            given["hubs"] = dict(self._hubs)
        elif part := os.environ.get("AGENT_BUS_PART"):
            DURATIONS.mkdir(parents=True, exist_ok=True)
            lines = [f"{took_s:.2f}\t{name}\n" for name, took_s in self._took_s.items()]
            (DURATIONS / f"tests-{part}.tsv").write_text("".join(lines), encoding="utf-8")

    def pytest_unconfigure(self) -> None:
        """Name the failed tests, after all that pytest says of them."""
        for nodeid in self._failed:
            print(f"FAILED {nodeid}", flush=True)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Print how many hubs the tests needed."""
        if self._hubs:
            counted = ", ".join(f"{count} {how}" for how, count in sorted(self._hubs.items()))
            terminalreporter.write_line(f"hubs started: {counted}")
