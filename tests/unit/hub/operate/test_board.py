"""The board without a browser: alerts that hold while nobody looks, and figures over time."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus import app
from agent_bus.api.models.responses import AgentEntry
from agent_bus.core.model import NodeName, Seq, Stamp
from agent_bus.core.slices import SweepBounds
from agent_bus.dashboard import measures
from tests.support.bus import bus_in, frames, settings_in, stream
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app import Core


class Desk:
    """A bus with its board; time passes only by `later`."""

    def __init__(self, core: Core, clock: FakeClock, folder: Path) -> None:
        self.core = core
        self.clock = clock
        self.fleet = app.build_fleet(core)
        self.fleet.start()
        left = app.build_reserves(settings_in(folder), core, admin_tokens=1)
        self.board = app.build_board(
            core, self.fleet, refusals=Counter(), reserves=left, version="1"
        )
        self.board._sample()
        core.observers.extend((self.fleet, self.board))

    def later(self, seconds: int) -> None:
        """Let time pass as the board's greenlet sees it, second by second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.board.tick()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as core:
        yield Desk(core, clock, tmp_path)


def test_an_alert_holds_from_when_it_does_and_not_from_when_somebody_looks(desk: Desk) -> None:
    desk.later(100)
    assert desk.board.firing == []
    desk.later(40)
    assert {one["name"] for one in desk.board.firing} == {"AgentBusWatcherGone"}
    shown = desk.board.fleet()  # the first look of a page
    assert [one["subject"] for one in shown["alerts"]] == [
        node for node, agents in sorted(desk.core.directory.nodes.items()) if agents
    ]


def test_mail_that_has_expired_is_no_longer_the_oldest(desk: Desk) -> None:
    desk.core.store.send(draft("beta", expires_in_s=60), depth_limit=50)
    desk.clock.advance(10)
    second = desk.core.store.send(draft("beta"), depth_limit=50)
    desk.fleet.refresh()
    first = desk.fleet.oldest[BETA]
    desk.clock.advance(60)
    desk.core.store.sweep(SweepBounds(retain_read_ms=10**9, retain_archive_ms=10**9, limit=100))
    desk.fleet.refresh()
    assert first < desk.fleet.oldest[BETA] == second.message.created_at


def test_figures_are_drawn_over_time_and_by_host(desk: Desk) -> None:
    core, drawn = desk.core, app.build_measures(desk.core)
    for _ in range(4):
        for _ in range(3):
            sent = core.bus.send(draft("beta"))
            seq = Seq(sent.deliveries[0].seq)
            desk.clock.advance(0.2)
            core.hops.note_report(Stamp("received", BETA, seq, desk.clock.now_ms(), up_to=True))
        core.hops.flush()
        desk.later(11)
    core.store.fetch(BETA, [])  # the writer works in order: all stamps are in now
    told = drawn.of_fleet(desk.board.samples)
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


def events(of: Any) -> list[tuple[str, Any]]:
    found = []
    for frame in frames(of):
        fields = dict(line.split(": ", 1) for line in frame.decode().splitlines() if line)
        found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_page_is_told_only_what_changed(desk: Desk) -> None:
    page = stream(None)
    first = desk.board.join(page).decode()
    assert '"full":true' in first
    (shown,) = json.loads(first.split("data: ")[1])["agents"][:1]
    assert set(shown) == set(AgentEntry.model_fields), "the page has the API's names"
    desk.later(5)
    assert events(page) == []
    desk.core.bus.send(draft("beta", "hello"))
    desk.later(1)
    told = events(page)
    assert [kind for kind, _ in told] == ["fleet", "feed"]
    # alpha, too: the send was its sign of life
    assert [row["name"] for row in told[0][1]["agents"]] == [ALPHA, BETA]
    assert [(m["from_agent"], m["to"]) for m in told[1][1]["messages"]] == [(ALPHA, [BETA])]
    desk.board.leave(page)
    desk.core.bus.send(draft("beta", "unseen"))
    desk.later(1)
    assert events(page) == []
