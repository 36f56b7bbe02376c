"""Contrast, names and structure by axe-core; phone, dark and light; a fleet of 500."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import AXE, SHOTS, Watchers, signed_in
from tests.support.hub import running

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AXE_RUN = "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})"


def violations(page: Page) -> list[str]:
    """What axe-core finds; it is loaded past the page's own policy, by the debugger."""
    if not AXE.exists():
        pytest.fail("axe-core is missing: run `make browser`, which installs it")
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(AXE_RUN, RULES)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def busy(fleet: Watchers) -> str:
    """Some traffic, a stuck urgent message, a gateway that is down; answers the message's id."""
    for sender, to in (("alpha", "gamma"), ("gamma", "alpha"), ("beta", "delta")):
        fleet.through(sender, to, "step", subject="A step")
    fleet.report_presence("pi-kitchen", eta="down")
    fleet.hub.client(None).post("/api/agents/mu/mute", {"for_s": 600})
    sent = fleet.hub.client("nuc-01").send(
        "Please look at job 812.\n" + "long " * 60,
        to=["nu", "eta"],
        subject="Build 812 is red",
        priority="urgent",
        **{"from": "alpha"},
    )
    fleet.hub.client("thinkpad").send("On it.", to="alpha", reply_to=sent["id"], **{"from": "nu"})
    return str(sent["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desk", "phone"])
def test_every_page_passes_axe(chromium: Browser, fleet: Watchers, scheme: Any, size: str) -> None:
    message_id = busy(fleet)
    options: dict[str, Any] = dict(PHONE) if size == "phone" else {}
    found = {}
    with signed_in(chromium, fleet.hub, color_scheme=scheme, **options) as page:
        expect(page.locator("tr[data-agent=eta] [data-f=state]")).to_have_text("gateway-down")
        for name in ("", "messages", f"messages/{message_id}", "flow", "latency", "audit"):
            page.goto(f"/{name}")
            page.locator("#link[data-is=on]").wait_for()
            found[name] = violations(page)
            width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert width <= 0, f"{name} scrolls sideways by {width}px"
            shot = f"{(name.split('/')[0] or 'fleet') + ('-one' if '/' in name else '')}"
            page.screenshot(path=SHOTS / f"{shot}-{size}-{scheme}.png")
        page.get_by_role("button", name="Send", exact=True).click()
        found["send"] = violations(page)
    assert not any(found.values()), found


def test_five_hundred_agents_and_traffic_stay_quick(chromium: Browser, tmp_path: Path) -> None:
    large = {f"host-{n:02}": tuple(f"agent-{n:02}-{i}" for i in range(10)) for n in range(50)}
    with running(tmp_path, sends_per_s=10_000, send_burst=10_000) as hub:
        assert hub.enrol(large, force=True).status == 200
        with signed_in(chromium, hub) as page:
            expect(page.locator("#agents tr")).to_have_count(504)
            sender = hub.client("host-00")
            for number in range(300):
                to = f"agent-{number % 50:02}-{number % 10}"
                sender.send("load", to=to, **{"from": "agent-00-1"})
            started = time.monotonic()
            expect(page.locator("[data-t=unread]")).to_have_text("300")
            page.get_by_placeholder("Filter").fill("agent-07")
            expect(page.locator("#agents tr:visible")).to_have_count(10)
            assert time.monotonic() - started < 3
            page.screenshot(path=SHOTS / "fleet-500.png")
