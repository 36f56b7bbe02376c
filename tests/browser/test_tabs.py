"""Many tabs of one browser: they share six connections to a server, and so one stream."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.browser.conftest import FLEET, Watchers, signed_in
from tests.support.patience import patience, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.support.hub import HubProcess

PAGES = ("/", "/messages", "/flow", "/latency", "/audit", "/", "/flow", "/")
HIDDEN = """
    delete globalThis.SharedWorker;
    let isHidden = true;
    Object.defineProperty(document, "hidden", { get: () => isHidden });
    globalThis.look = (at) => {
      isHidden = !at;
      document.dispatchEvent(new Event("visibilitychange"));
    };
"""


def readers(hub: HubProcess) -> int:
    """Streams that are no watcher's."""
    streams = hub.client(None).get("/api/stats").body["streams"]
    return int(streams["open"]) - int(streams["watchers"])


def is_live(page: Page) -> None:
    expect(page.locator("#link")).to_have_attribute("data-is", "on")


def opened_behind(page: Page, path: str) -> Page:
    """A tab that a page opens, as a middle click does."""
    with page.context.expect_page() as tab:
        page.evaluate("path => { window.open(path, '_blank', 'noopener'); }", path)
    return tab.value


def unread_of(page: Page, agent: str, count: int) -> None:
    cell = page.locator(f"tr[data-agent={agent}] [data-f=unread]")
    expect(cell).to_have_text(str(count))


def test_eight_tabs_have_one_stream_and_all_of_them_live(page: Page, fleet: Watchers) -> None:
    tabs = [page, *(opened_behind(page, path) for path in PAGES[1:])]
    for tab in tabs:
        is_live(tab)
    wait_until(lambda: readers(fleet.hub) == 1, "one stream is for all tabs")
    fleet.hub.client("nuc-01").send("to all tabs", to="gamma", **{"from": "alpha"})
    for tab, path in zip(tabs, PAGES, strict=True):
        if path == "/":
            unread_of(tab, "gamma", 1)
        elif path == "/flow":
            expect(tab.locator("#feed")).to_contain_text("to all tabs")

    page.close()  # the one that was first, and with whom the stream began
    others = [tab for tab, path in zip(tabs[1:], PAGES[1:], strict=True) if path == "/"]
    fleet.hub.client("nuc-01").send("after it", to="gamma", **{"from": "alpha"})
    for tab in others:
        unread_of(tab, "gamma", 2)
    late = opened_behind(others[0], "/")
    expect(late.locator("#agents tr")).to_have_count(sum(map(len, FLEET.values())))
    unread_of(late, "gamma", 2)
    wait_until(lambda: readers(fleet.hub) == 1, "one stream is for all tabs")

    fleet.hub.hang_up()
    fleet.hub.stop()
    for tab in others:
        expect(tab.locator("#link")).to_have_attribute("data-is", "lost")
    fleet.hub.start()
    for tab in (*others, late):
        is_live(tab)
    late.get_by_role("button", name="Sign out").click()
    expect(late.get_by_label("Admin token")).to_be_visible()
    for tab in others:
        expect(tab.get_by_label("Admin token")).to_be_visible()
    wait_until(lambda: readers(fleet.hub) == 0, "nobody is left to listen")


def test_without_shared_workers_only_the_tab_that_is_looked_at_has_a_stream(
    page: Page, fleet: Watchers
) -> None:
    context: BrowserContext = page.context
    page.goto("about:blank")
    wait_until(lambda: readers(fleet.hub) == 0, "the first page is gone")
    context.add_init_script(HIDDEN)
    tabs = []
    for path in PAGES:
        tab = context.new_page()
        tab.goto(path)
        tabs.append(tab)
    assert readers(fleet.hub) == 0
    tabs[-1].evaluate("look(true)")
    is_live(tabs[-1])
    wait_until(lambda: readers(fleet.hub) == 1, "the tab that is looked at has one")


@contextlib.contextmanager
def passing(port: int) -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """A pipe to a port.

    Yields its own port, an event that is set once the other side has sent a keepalive, and one
    that makes the pipe swallow all that comes from there.
    """
    is_cut, has_kept_alive = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket, *, can_be_cut: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                if not (can_be_cut and is_cut.is_set()):
                    target.sendall(piece)
                if b"event: still" in piece:
                    has_kept_alive.set()
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", port))
                ends.extend((near, far))
                for source, target, cut in ((near, far, False), (far, near, True)):
                    arguments = {"can_be_cut": cut}
                    threading.Thread(
                        target=pump, args=(source, target), kwargs=arguments, daemon=True
                    ).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1], has_kept_alive, is_cut
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for end in ends:
            end.close()


def test_a_hub_that_falls_silent_is_shown_as_lost_and_found_again(
    chromium: Browser, fleet: Watchers
) -> None:
    """Nobody tells a browser that the other side has lost its power."""
    with (
        passing(fleet.hub.port) as (port, has_kept_alive, is_cut),
        signed_in(chromium, fleet.hub, port=port) as page,
    ):
        # it says how long a silence is one; until then the page waits 40 s
        assert has_kept_alive.wait(patience())
        is_cut.set()
        expect(page.locator("#link")).to_have_attribute("data-is", "lost")
        is_cut.clear()
        is_live(page)
