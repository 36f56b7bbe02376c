"""Storms on the page: they come live, and a button lets them go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.conftest import FLEET, SHOTS, Watchers
from tests.browser.test_looks import violations
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

HELD = 2 + 12 + 10 + 1
"""Answers of two to all after which a broadcast is held, by the defaults: their first ones are no
echoes."""


def echo(fleet: Watchers) -> str:
    """A broadcast, answered by broadcasts until they are held; answers the last one's id."""
    first = fleet.hub.client("nuc-01").send("I am new here!", **{"from": "alpha"})
    last = first["id"]
    homes = [(node, agent) for node, agents in FLEET.items() for agent in agents]
    others = [home for home in homes if home[1] != "alpha"][:2]
    for number in range(HELD):
        node, agent = others[number % len(others)]
        text = f"{agent} says hello, number {number}"
        sent = fleet.hub.client(node).send(text, reply_to=first["id"], **{"from": agent})
        last = sent["id"]
    return str(last)


def test_a_storm_comes_live_and_a_button_lets_it_go_on(page: Page, fleet: Watchers) -> None:
    page.goto("/")
    page.locator("#link[data-is=on]").wait_for()
    storms = page.get_by_role("region", name="Storms")
    expect(storms).to_be_hidden()
    last = echo(fleet)
    expect(storms).to_be_visible()
    expect(storms.locator("[data-f=level]")).to_have_text("held")
    expect(storms).to_contain_text("12 broadcasts or more answered broadcasts within 30 minutes")
    assert violations(page) == []
    page.screenshot(path=SHOTS / "storm.png")
    admin = fleet.hub.client(None)
    wait_until(lambda: admin.get(f"/api/messages/{last}").body["deliveries"][0]["held_at"])
    page.goto(f"/messages/{last}")
    expect(page.locator("[data-held]").first).to_contain_text("A storm withheld its wake at")
    page.goto("/")
    storms.get_by_role("button", name="Let it go on").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("the counting begins anew")
    dialog.get_by_role("button", name="Let it go on", exact=True).click()
    expect(page.locator("#told")).to_contain_text("go on.")
    expect(storms).to_be_hidden()
    kept = fleet.hub.rows("SELECT way, action, outcome FROM audit WHERE action = 'release'")
    assert kept == [("page", "release", "done")]
