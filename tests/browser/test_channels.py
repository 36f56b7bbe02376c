"""How the operator is told, on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import SHOTS, signed_in
from tests.browser.test_looks import violations
from tests.support.hub import running
from tests.support.patience import wait_until
from tests.support.services import Ntfy, channels_file, ntfy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.support.hub import HubProcess


@pytest.fixture
def phone() -> Iterator[Ntfy]:
    with ntfy() as one:
        yield one


@pytest.fixture
def told(tmp_path: Path, phone: Ntfy) -> Iterator[HubProcess]:
    file = channels_file(
        tmp_path,
        {"name": "phone", "url": phone.url},
        {"name": "mail", "url": phone.url, "digest": {"at": "03:03", "except": []}},
    )
    with running(tmp_path, channels_file=file) as hub:
        yield hub


def test_the_pages_say_by_what_the_operator_was_told_and_what_fails(
    chromium: Browser, told: HubProcess, phone: Ntfy
) -> None:
    sent = told.client().send("now", to="operator", priority="urgent", **{"from": "alpha"})
    wait_until(lambda: phone.got, "it is told")
    kept = "SELECT count(*) FROM telling"
    wait_until(lambda: told.rows(kept) == [(1,)], "it is kept")
    with signed_in(chromium, told) as page:
        page.goto(f"/messages/{sent['id']}")
        expect(page.locator(".by-channel")).to_contain_text("You were told by phone")
        page.goto("/")
        rows = page.locator("#channels li")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("mail ntfy 0 told, 1 waiting, held by digest until")
        expect(rows.nth(1)).to_contain_text("phone ntfy 1 told, 0 waiting, last")
        page.screenshot(path=SHOTS / "channels.png")
        assert violations(page) == []
        phone.status = 500
        told.client().send("again", to="operator", priority="urgent", **{"from": "alpha"})
        failing = "SELECT failures FROM webhook WHERE name = 'channel.phone'"
        wait_until(lambda: told.rows(failing)[0][0] > 0, "the failure is kept")
        page.reload()
        expect(rows.nth(1)).to_contain_text("error=500")
        assert "geheim" not in page.content()
