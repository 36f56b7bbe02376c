"""The overview without a browser: alerts that hold while nobody looks, and figures over time."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent_bus.api.models.fleet import AgentEntry
from agent_bus.app import outward, parts, people
from agent_bus.core.model import NodeName, Seq, Stamp
from agent_bus.core.slices import SweepBounds
from agent_bus.dashboard import measures
from tests.support.bus import bus_in, events, settings_in, stream
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core


class Watched:
    """A bus with its overview; time passes only by `later`."""

    def __init__(self, core: Core, clock: FakeClock, folder: Path) -> None:
        self.core = core
        self.clock = clock
        self.fleet = parts.build_fleet(core)
        self.fleet.start()
        left = parts.build_reserves(settings_in(folder), core, admin_tokens=1)
        self.samples = parts.build_samples(core, Counter(), left)
        watch = parts.build_watch(settings_in(folder), core, "1")
        tells = outward.build_outward(settings_in(folder), core)
        self.alerting = parts.build_alerting(core, self.fleet, self.samples, watch, tells=tells)
        self.overview = parts.build_overview(
            core, self.fleet, self.alerting, self.samples, watch=watch, version="1"
        )
        core.observers.extend((self.fleet, self.overview))

    def later(self, seconds: int) -> None:
        """Let time pass as the greenlet sees it, second by second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.overview.tick()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as core:
        yield Watched(core, clock, tmp_path)


def test_an_alert_holds_from_when_it_does_and_not_from_when_somebody_looks(
    watched: Watched,
) -> None:
    watched.later(100)
    assert watched.alerting.firing == []
    watched.later(40)
    assert {one["name"] for one in watched.alerting.firing} == {"AgentBusWatcherGone"}
    shown = watched.overview.fleet()  # the first look of a page
    assert [one["subject"] for one in shown["alerts"]] == [
        node for node, agents in sorted(watched.core.directory.nodes.items()) if agents
    ]


def test_no_watcher_is_missed_at_a_guest_but_its_unread_mail_is(watched: Watched) -> None:
    core = watched.core
    guests = frozenset(node for node, agents in core.directory.nodes.items() if agents)
    roster = replace(core.directory.roster, guests=guests)
    core.store.put_roster(roster, force=False, dry_run=False)
    core.store.send(draft("beta"), depth_limit=50)
    watched.later(200)
    assert watched.alerting.firing == []
    totals = watched.overview.fleet()["totals"]
    assert {totals[name] for name in ("agents", "nodes", "problems")} == {0}
    watched.clock.advance(1800)
    watched.later(70)
    assert [one["name"] for one in watched.alerting.firing] == ["AgentBusMailUnread"]
    first = watched.overview.fleet()["agents"][0]
    assert (first["name"], first["problem"]) == (BETA, 1)


def test_mail_that_has_expired_is_no_longer_the_oldest(watched: Watched) -> None:
    watched.core.store.send(draft("beta", expires_in_s=60), depth_limit=50)
    watched.clock.advance(10)
    second = watched.core.store.send(draft("beta"), depth_limit=50)
    watched.fleet.refresh()
    first = watched.fleet.oldest[BETA]
    watched.clock.advance(60)
    watched.core.store.sweep(SweepBounds(retain_read_ms=10**9, retain_archive_ms=10**9, limit=100))
    watched.fleet.refresh()
    assert first < watched.fleet.oldest[BETA] == second.message.created_at


def test_figures_are_drawn_over_time_and_by_host(watched: Watched) -> None:
    core, drawn = watched.core, people.build_measures(watched.core, watched.samples)
    for _ in range(4):
        for _ in range(3):
            sent = core.bus.send(draft("beta"))
            seq = Seq(sent.deliveries[0].seq)
            watched.clock.advance(0.2)
            core.hops.note_report(Stamp("received", BETA, seq, watched.clock.now_ms(), up_to=True))
        core.hops.flush()
        watched.later(11)
    core.store.fetch(BETA, [])  # the writer works in order: all stamps are in now
    told = drawn.of_fleet()
    cards = {card["title"]: card for card in told["cards"]}
    received = cards[measures.TITLES["received"]]
    assert received["count"] == sum(received["counts"]) == 12
    assert len(received["over_time"]) == 4
    assert all(100 <= median <= 250 for _, median, _ in received["over_time"])
    for title in measures.DISK.values():
        assert cards[title]["count"] >= 12, title
        assert len(cards[title]["over_time"]) == 4, title
    assert [15 < sent < 18 for _, sent, _ in told["throughput"]] == [True] * 4
    assert [host["node"] for host in told["hosts"]] == [core.directory.node_of(BETA)]

    node = NodeName(str(core.directory.node_of(BETA)))
    ours = drawn.of_host(node)
    received = next(c for c in ours["cards"] if c["title"] == measures.TITLES["received"])
    assert (received["count"], received["p50"] > 100) == (12, True)
    assert [median for _, median, _ in received["over_time"]] == [200] * len(received["over_time"])
    assert len(ours["throughput"]) == measures.POINTS
    assert drawn.of_host(NodeName("nowhere"))["hosts"] == []
    json.dumps([told, ours])


def test_a_page_is_told_only_what_changed(watched: Watched) -> None:
    page = stream(None)
    first = watched.overview.join(page).decode()
    assert '"full":true' in first
    (shown,) = json.loads(first.split("data: ")[1])["agents"][:1]
    assert set(shown) == set(AgentEntry.model_fields), "the page has the API's names"
    watched.later(5)
    assert events(page) == []
    watched.core.bus.send(draft("beta", "hello"))
    watched.later(1)
    told = events(page)
    assert [kind for kind, _ in told] == ["fleet", "feed"]
    # alpha, too: the send was its sign of life
    assert [row["name"] for row in told[0][1]["agents"]] == [ALPHA, BETA]
    assert [(m["from_agent"], m["to"]) for m in told[1][1]["messages"]] == [(ALPHA, [BETA])]
    watched.overview.leave(page)
    watched.core.bus.send(draft("beta", "unseen"))
    watched.later(1)
    assert events(page) == []
