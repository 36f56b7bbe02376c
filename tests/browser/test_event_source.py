"""The API's stream as a browser's own EventSource reads it; the token is put on on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import profile
from tests.support.hub import HubProcess, running
from tests.support.patience import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

LISTEN = """
    globalThis.seen = [];
    const source = new EventSource("/api/stream");
    for (const type of ["message", "hello", "bye", "mailbox", "reset"]) {
      source.addEventListener(type, (event) => {
        seen.push([type, event.lastEventId, JSON.parse(event.data).id ?? null]);
      });
    }
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    with running(tmp_path, keepalive_s=0.05, retry_ms=100) as one:
        yield one


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with profile(chromium, extra_http_headers={"Authorization": "Bearer token-n3"}) as context:
        yield context.new_page()


def events(page: Page, kind: str) -> list[tuple[str, str | None]]:
    """(last event id, message's id) of all events of a kind so far."""
    found: list[list[str]] = page.evaluate("seen")
    return [(event_id, message) for type_, event_id, message in found if type_ == kind]


def test_chromiums_own_resumes_without_loss_or_repetition(page: Page, hub: HubProcess) -> None:
    sent = []

    def send(text: str) -> None:
        sent.append(hub.client("n2").send(text, to="delta")["id"])
        wait_until(lambda: len(events(page, "message")) >= len(sent), f"{text} has come")
        assert [message for _, message in events(page, "message")] == sent

    page.goto(f"http://127.0.0.1:{hub.port}/login")
    page.evaluate(LISTEN)
    wait_until(lambda: events(page, "hello"), "the stream is open")
    send("live")
    hub.hang_up()
    hub.stop()
    hub.start()
    send("after a restart")
    hub.hang_up()
    hub.kill()
    hub.start()
    send("after a kill")
    ids = [event_id for event_id, _ in events(page, "message")]
    numbers = [event_id.rpartition("-")[2] for event_id in ids]
    assert numbers == ["1", "2", "3"]
    # hello has the place where the stream resumed, never the head
    resumed = [event_id.rpartition("-")[2] for event_id, _ in events(page, "hello")]
    assert resumed == ["0", "1", "2"]
    # one at the end of its stream, and one each time that it is back before the hub is gone
    assert {event_id for event_id, _ in events(page, "bye")} == {ids[0]}
