"""The board without a browser: alerts that hold while nobody looks, and figures over time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core.model import NodeName, Seq, Stamp
from agent_bus.dashboard import measures
from agent_bus.operate.board import Board
from agent_bus.operate.fleet import Fleet
from agent_bus.operate.reserves import Reserves
from tests.support.bus import bus_in, frames, settings_in, stream
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.bus.bus import Bus


class Desk:
    """A bus with its board; time passes only by `later`."""

    def __init__(self, bus: Bus, clock: FakeClock, folder: Path) -> None:
        self.bus = bus
        self.clock = clock
        self.fleet = Fleet(bus)
        self.fleet.start()
        left = Reserves(bus=bus, settings=settings_in(folder))
        self.board = Board(bus=bus, fleet=self.fleet, refusals={}, reserves=left, version="1")
        self.board._sample()
        bus.observers += [self.fleet, self.board]

    def later(self, seconds: int) -> None:
        """Let time pass as the board's greenlet sees it, second by second."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.board.tick()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    clock = FakeClock()
    with bus_in(tmp_path, clock=clock) as bus:
        yield Desk(bus, clock, tmp_path)


def test_an_alert_holds_from_when_it_does_and_not_from_when_somebody_looks(desk: Desk) -> None:
    desk.later(100)
    assert desk.board.firing == []
    desk.later(40)
    assert {one["name"] for one in desk.board.firing} == {"AgentBusWatcherGone"}
    shown = desk.board.fleet()  # the first look of a page
    assert [one["subject"] for one in shown["alerts"]] == [
        node for node, agents in sorted(desk.bus.directory.nodes.items()) if agents
    ]


def test_mail_that_has_expired_is_no_longer_the_oldest(desk: Desk) -> None:
    desk.bus.store.send(draft("beta", expires_in_s=60), hop_limit=50)
    desk.clock.advance(10)
    second = desk.bus.store.send(draft("beta"), hop_limit=50)
    desk.fleet.refresh()
    first = desk.fleet.oldest[BETA]
    desk.clock.advance(60)
    desk.bus.store.sweep(retain_read_ms=10**9, retain_archive_ms=10**9, limit=100)
    desk.fleet.refresh()
    assert first < desk.fleet.oldest[BETA] == second.message.created_at


def test_figures_are_drawn_over_time_and_by_host(desk: Desk) -> None:
    bus = desk.bus
    for _ in range(4):
        for _ in range(3):
            sent = bus.send(draft("beta"))
            seq = Seq(sent.deliveries[0].seq)
            desk.clock.advance(0.2)
            bus.note_hop(Stamp("received", BETA, seq, desk.clock.now_ms(), up_to=True))
        bus.flush_stamps()
        desk.later(11)
    bus.store.fetch(BETA, [])  # the writer works in order: all stamps are in now
    told = measures.of(bus, desk.board.samples)
    cards = {card["title"]: card for card in told["cards"]}
    received = cards[measures.TITLES["received"]]
    assert received["count"] == sum(received["counts"]) == 12
    assert len(received["over_time"]) == 4
    assert all(100 <= median <= 250 for _, median, _ in received["over_time"])
    for title in measures.DISK.values():
        assert cards[title]["count"] >= 12, title
        assert len(cards[title]["over_time"]) == 4, title
    assert [15 < sent < 18 for _, sent, _ in told["throughput"]] == [True] * 4
    assert [host["node"] for host in told["hosts"]] == [bus.directory.node_of(BETA)]

    node = NodeName(str(bus.directory.node_of(BETA)))
    ours = measures.of_host(bus, node)
    received = next(c for c in ours["cards"] if c["title"] == measures.TITLES["received"])
    assert (received["count"], received["p50"] > 100) == (12, True)
    assert [median for _, median, _ in received["over_time"]] == [200] * len(received["over_time"])
    assert len(ours["throughput"]) == measures.POINTS
    assert measures.of_host(bus, NodeName("nowhere"))["hosts"] == []
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
    desk.later(5)
    assert events(page) == []
    desk.bus.send(draft("beta", "hello"))
    desk.later(1)
    told = events(page)
    assert [kind for kind, _ in told] == ["fleet", "feed"]
    # alpha, too: the send was its sign of life
    assert [row["agent"] for row in told[0][1]["agents"]] == [ALPHA, BETA]
    assert [(m["from"], m["to"]) for m in told[1][1]["messages"]] == [(ALPHA, [BETA])]
    desk.board.leave(page)
    desk.bus.send(draft("beta", "unseen"))
    desk.later(1)
    assert events(page) == []
