"""The stream of a page: the same loop as a node's, with the session's right to it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from agent_bus.app import outward, parts
from agent_bus.bus.auth import Principal
from agent_bus.core import errors
from agent_bus.dashboard.page_stream import PageStreams
from agent_bus.http.call import Call
from agent_bus.http.session import Sessions, cookie_name
from agent_bus.runtime import greenlets
from agent_bus_client.hub.sse import Event, Parser
from tests.support.bus import bus_in, settings_in
from tests.support.clock import FakeClock
from tests.support.hub import ADMIN, digest
from tests.support.store import draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core

KEEPALIVE_S = 0.02
LIFETIME_S = 20


class Browser:
    """Signs in and reads a page's stream, frame by frame."""

    def __init__(self, core: Core, folder: Path) -> None:
        settings = settings_in(folder, keepalive_s=KEEPALIVE_S, stream_lifetime_s=LIFETIME_S)
        admins = frozenset({digest(ADMIN)})
        auth = parts.build_authenticator(settings, admins, core)
        self.sessions = Sessions(records=core.records, auth=auth, clock=core.clock)
        left = parts.build_reserves(settings, core, admin_tokens=1)
        fleet = parts.build_fleet(core)
        fleet.start()
        samples = parts.build_samples(core, Counter(), left)
        watch = parts.build_watch(settings, core, "1")
        tells = outward.build_outward(settings, core)
        alerting = parts.build_alerting(core, fleet, samples, watch, tells=tells)
        self.overview = parts.build_overview(
            core, fleet, alerting, samples, watch=watch, version="1"
        )
        core.observers.append(self.overview)
        live = parts.build_live(settings, core, greenlets.HangUps())
        self._streams = PageStreams(overview=self.overview, sessions=self.sessions, live=live)
        principal = Principal(None, digest(ADMIN))
        anybody = Call(principal, None, None)
        cookie = f"{cookie_name(anybody)}={self.sessions.open(anybody, ADMIN)}"
        self.call = Call(principal, None, None, {"cookie": cookie})
        self.parser = Parser()

    def open(self) -> Iterator[list[Event]]:
        """The events of each frame of a new stream."""
        frames = self._streams.open(self.call).frames
        return (self.parser.feed(frame) for frame in frames or ())


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path, clock=FakeClock()) as one:
        yield one


@pytest.fixture
def browser(core: Core, tmp_path: Path) -> Browser:
    return Browser(core, tmp_path)


def test_a_page_gets_the_fleet_then_a_sign_of_life_while_all_is_quiet(browser: Browser) -> None:
    stream = browser.open()
    assert [event.type for event in next(stream)] == ["fleet"]
    assert [event.type for event in next(stream)] == ["still"]


def test_a_page_is_cut_off_when_its_session_ends(core: Core, browser: Browser) -> None:
    stream = browser.open()
    next(stream)
    browser.sessions.close(browser.call)
    with pytest.raises(errors.UnauthenticatedError):
        browser.sessions.require(browser.call)
    core.bus.send(draft())
    browser.overview.tick()
    assert [event.data for event in next(stream)] == ['{"to_agent":null,"reason":"revoked"}']
    assert len(core.broker) == 0


def test_pages_end_at_different_times_and_come_back_at_different_times(
    core: Core, browser: Browser
) -> None:
    ages, waits = set(), set()
    for _ in range(5):
        stream, age = browser.open(), 0
        next(stream)
        while (events := next(stream))[0].type == "still":
            assert isinstance(core.clock, FakeClock)
            core.clock.advance(1)
            age += 1
        assert events[0].type == "bye"
        assert 0.8 * LIFETIME_S <= age <= 1.2 * LIFETIME_S + 1
        ages.add(age)
        waits.add(browser.parser.retry_ms)
    assert min(len(ages), len(waits)) > 1


def test_a_page_of_a_hub_that_is_stopping_is_sent_away_with_bye(
    core: Core, browser: Browser
) -> None:
    core.broker.end_all("shutdown")
    assert [[event.type for event in events] for events in browser.open()] == [["bye"]]
