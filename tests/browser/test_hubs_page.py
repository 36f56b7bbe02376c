"""The panel of hubs and database, and a page whose hub dies."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import signed_in
from tests.browser.test_looks import PHONE, violations
from tests.support import postgres
from tests.support.database_host import DatabaseHost, database_host, member
from tests.support.hubs import hubs_on
from tests.support.patience import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.support.hub import HubProcess

Played = tuple[list["HubProcess"], list[DatabaseHost]]
MEMBERS = [member("hub0", "leader"), member("hub1", lag=3_200_000)]


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    """Two hubs on one database, each with a played Patroni and etcd."""
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(database_host(members=MEMBERS)) for _ in range(2)]
        hosts[0].etcd = {"has_leader": 1, "is_leader": 1, "size": 30_000}
        quick = {"retry_ms": 200, "keepalive_s": patience(1)}
        urls, own = [postgres.database(tmp_path)] * 2, [host.settings for host in hosts]
        yield stack.enter_context(hubs_on(urls, tmp_path, own, **quick)), hosts


def cell(page: Page, host: str, name: str) -> Any:
    return page.locator(f'[data-host="{host}"] [data-f="{name}"]')


def shows_both(page: Page, other: HubProcess) -> None:
    expect(cell(page, "hub0", "hub")).to_have_text("live")
    expect(cell(page, "hub0", "own")).to_be_visible()
    expect(cell(page, "hub0", "database")).to_have_text("primary")
    expect(cell(page, "hub0", "etcd")).to_have_text("leader")
    expect(cell(page, "hub1", "hub")).to_have_text("live")
    # the primary of the tests has no standby, which it knows better than a Patroni
    expect(cell(page, "hub1", "database")).to_have_text("not connected")
    expect(cell(page, "hub1", "etcd")).to_have_text("healthy")
    expect(cell(page, "hub1", "name")).to_have_attribute("href", f"http://127.0.0.1:{other.port}/")
    expect(page.locator("#hub-words")).to_contain_text(
        "1 of 2 members there, 1 needed; primary hub0"
    )


def shows_the_other_lost(page: Page) -> None:
    expect(cell(page, "hub1", "hub")).to_have_text("lost")
    expect(cell(page, "hub1", "database")).to_have_text("lost")
    expect(cell(page, "hub1", "etcd")).to_have_text("unknown")


def test_the_panel_shows_each_hub_and_its_database(chromium: Browser, played: Played) -> None:
    """On a desk and on a phone at once, since the panel takes its time to call a hub lost."""
    hubs, hosts = played
    with (
        signed_in(chromium, hubs[0]) as desk,
        signed_in(chromium, hubs[0], **PHONE) as phone,
    ):
        pages = {"desk": desk, "phone": phone}
        for size, page in pages.items():
            shows_both(page, hubs[1])
            assert violations(page, f"hubs-{size}") == []
        hosts[0].members = hosts[1].members = MEMBERS[:1]
        hosts[1].etcd = None
        hubs[1].hang_up()
        hubs[1].kill()
        for size, page in pages.items():
            shows_the_other_lost(page)
            assert violations(page, f"hubs-lost-{size}") == []


def test_a_page_whose_hub_is_gone_names_the_others(chromium: Browser, played: Played) -> None:
    hubs, _ = played
    with signed_in(chromium, hubs[0]) as page:
        expect(cell(page, "hub1", "hub")).to_have_text("live")
        expect(page.locator("#elsewhere")).to_be_hidden()
        hubs[0].hang_up()
        hubs[0].kill()
        expect(page.locator("#elsewhere")).to_be_visible()
        assert violations(page, "hub-gone") == []
        page.locator("#elsewhere a").click()
        expect(page).to_have_url(f"http://127.0.0.1:{hubs[1].port}/login")


def test_a_hub_that_is_back_takes_the_words_back(chromium: Browser, played: Played) -> None:
    hubs, _ = played
    with signed_in(chromium, hubs[0]) as page:
        expect(cell(page, "hub1", "hub")).to_have_text("live")
        hubs[0].stop()
        expect(page.locator("#elsewhere")).to_be_visible()
        hubs[0].start()
        expect(page.locator("#elsewhere")).to_be_hidden()
