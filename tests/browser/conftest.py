"""Chromium from the distribution, a real hub, and watchers' streams with their reports."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.hub import ADMIN, REPOSITORY, HubProcess, running
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hub import StreamReader

AXE = REPOSITORY / ".cache/axe/node_modules/axe-core/axe.min.js"
SHOTS = REPOSITORY / ".cache/screenshots"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # a name that is no loopback, which browsers trust without TLS
    "--host-resolver-rules=MAP *.bus.test 127.0.0.1",
]
FLEET = {
    "t440": ("hub-keeper",),
    "nuc-01": ("alpha", "beta", "research-1"),
    "nuc-02": ("gamma", "research-2"),
    "nuc-03": ("delta", "epsilon", "builder"),
    "nuc-04": ("zeta", "reviewer"),
    "pi-kitchen": ("eta",),
    "pi-garage": ("theta", "iota"),
    "mac-mini": ("kappa", "lambda-1", "mu"),
    "thinkpad": ("nu", "xi"),
}
"""As large as the reference fleet: 19 agents on 9 hosts."""


@dataclass
class Watchers:
    """Watchers' streams of a hub, and what watchers report."""

    hub: HubProcess
    streams: dict[str, StreamReader] = field(default_factory=dict)

    def connect(self, *nodes: str) -> None:
        for node in nodes:
            stream = self.hub.stream(node, "role=watcher")
            stream.of_type("hello")
            self.streams[node] = stream
            self.report_presence(node)

    def report_presence(self, node: str, **gateways: str) -> None:
        agents = [{"name": a, "gateway": gateways.get(a, "ok")} for a in FLEET[node]]
        body = {"node_version": "0.1.0-3f2a9c41d07b", "agents": agents}
        assert self.hub.client(node).post("/api/presence", body).status == 204

    def woken(self, node: str, agent: str, seq: int, *events: str) -> None:
        reports = [
            {"agent": agent, "event": event, "up_to_seq": seq, "duration_ms": 40}
            for event in events or ("received", "accepted")
        ]
        assert self.hub.client(node).post("/api/wakes", {"reports": reports}).status == 204

    def disconnect(self, node: str) -> None:
        self.streams.pop(node).close()

    def through(self, sender: str, to: str, text: str, **more: Any) -> dict[str, Any]:
        """A message all the way: sent, pushed, received, woken, fetched, read."""
        sent: dict[str, Any] = self.hub.client(home(sender)).send(
            text, to=to, **{"from": sender}, **more
        )
        node = home(to)
        self.streams[node].of_type("message")
        self.woken(node, to, sent["recipients"][0]["seq"])
        client = self.hub.client(node)
        client.get(f"/api/inbox?agent={to}")
        client.post("/api/ack", {"agent": to, "ids": [sent["id"]]})
        return sent


def home(agent: str) -> str:
    return next(node for node, agents in FLEET.items() if agent in agents)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not os.access(CHROMIUM, os.X_OK):
        pytest.fail("Chromium is missing: run `make browser`, which installs it")
    SHOTS.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=patience() * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=patience() * 1000
        )
        yield browser
        browser.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Watchers]:
    """A hub with the fleet enrolled and all watchers connected but the thinkpad's."""
    # a page counts a silence of two and a half keepalives as a cut
    quick = {"retry_ms": 200, "keepalive_s": patience(1)}
    with running(tmp_path, **quick, sends_per_s=10_000, send_burst=10_000) as hub:
        groups = {"research": ["research-1", "research-2"]}
        assert hub.enrol(FLEET, groups=groups, force=True).status == 200
        watchers = Watchers(hub)
        watchers.connect(*(node for node in FLEET if node != "thinkpad"))
        yield watchers


@contextlib.contextmanager
def profile(chromium: Browser, **options: Any) -> Iterator[BrowserContext]:
    """A fresh browser profile whose pages have the tests' deadlines instead of Playwright's."""
    with contextlib.closing(chromium.new_context(**options)) as context:
        context.set_default_timeout(patience() * 1000)
        yield context


@contextlib.contextmanager
def signed_in(
    chromium: Browser, hub: HubProcess, *, port: int | None = None, **options: Any
) -> Iterator[Page]:
    """A page of a fresh browser profile, signed in; any error on its console fails the test."""
    errors: list[str] = []
    base_url = f"http://127.0.0.1:{port or hub.port}"
    with profile(chromium, base_url=base_url, **options) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        # past the form, which `test_session.py` fills in: a page less to draw for every test
        form: dict[str, str | float | bool] = {"token": ADMIN}
        deadline = patience() * 1000
        answer = context.request.post("/login", form=form, max_redirects=0, timeout=deadline)
        assert answer.status == 303, answer.text()
        page.goto("/")
        page.locator("#link[data-is=on]").wait_for()
        yield page
    unexpected = [e for e in errors if "ERR_" not in e and "status of" not in e]
    assert not unexpected, unexpected


@pytest.fixture
def page(chromium: Browser, fleet: Watchers) -> Iterator[Page]:
    with signed_in(chromium, fleet.hub) as one:
        yield one
