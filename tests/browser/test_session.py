"""The operator's session in a real browser, whatever the hub's address was before."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.conftest import profile
from tests.support.certificates import Authority
from tests.support.hub import ADMIN, HubProcess, running
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("Admin token").fill(ADMIN)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    expect(page.locator("#link")).to_have_attribute("data-is", "on")


def restart(hub: HubProcess, **tls: str) -> None:
    """The same hub on the same port, with TLS or without."""
    hub.hang_up()
    hub.stop()
    hub.settings = tls
    hub.start(wait=not tls)
    if tls:
        wait_until(lambda: answers_with_tls(hub.port), "the hub answers with TLS")


def answers_with_tls(port: int) -> bool:
    context = ssl._create_unverified_context()
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, context=context, timeout=patience()
        )
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
    return False


def test_switching_tls_on_and_off_lets_the_operator_in_each_time(
    chromium: Browser, tmp_path: Path
) -> None:
    tls = Authority(tmp_path / "tls").issue("hub")
    with running(tmp_path) as hub, profile(chromium, ignore_https_errors=True) as context:
        page = context.new_page()
        sign_in(page, f"http://hub.bus.test:{hub.port}")
        restart(hub, **tls)
        sign_in(page, f"https://hub.bus.test:{hub.port}")
        restart(hub)
        sign_in(page, f"http://hub.bus.test:{hub.port}")
        page.reload()
        expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


def test_a_browser_that_does_not_keep_the_cookie_is_told_so_instead_of_being_asked_again(
    chromium: Browser, tmp_path: Path
) -> None:
    """As behind a proxy that says https to a hub whose page the browser has by http."""
    says_https = {"X-Forwarded-Proto": "https"}
    with running(tmp_path) as hub:
        with profile(chromium, extra_http_headers=says_https) as context:
            page = context.new_page()
            page.goto(f"http://hub.bus.test:{hub.port}/login")
            page.get_by_label("Admin token").fill(ADMIN)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_contain_text("did not keep the cookie")
        with profile(chromium) as context:
            page = context.new_page()
            sign_in(page, f"http://hub.bus.test:{hub.port}")
            expect(page).to_have_url(f"http://hub.bus.test:{hub.port}/")


def test_two_hubs_behind_one_name_keep_their_sessions_apart(
    chromium: Browser, tmp_path: Path
) -> None:
    folders = tmp_path / "one", tmp_path / "other"
    for folder in folders:
        folder.mkdir()
    with running(folders[0]) as one, running(folders[1]) as other, profile(chromium) as context:
        page = context.new_page()
        for hub in (one, other):
            sign_in(page, f"http://hub.bus.test:{hub.port}")
        page.goto(f"http://hub.bus.test:{one.port}/")
        expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
