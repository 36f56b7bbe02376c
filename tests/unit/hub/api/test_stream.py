"""A subscription without a socket: opening, resuming, moving on to live, ending."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
import pytest

from agent_bus.api.models.requests import StreamQuery
from agent_bus.api.stream import REPLAY_PAGE, Streams, Subscription
from agent_bus.app.parts import build_authenticator, build_live, stream_parts
from agent_bus.bus.auth import Principal
from agent_bus.bus.broker import WRITE_BYTES
from agent_bus.core import sse
from agent_bus.core.model import AgentName, NodeName, Roster, Seq
from agent_bus.http.call import Call
from agent_bus.http.live import LiveStream
from agent_bus.runtime import greenlets
from agent_bus.settings import Settings
from agent_bus.store.sqlite.sqlite_store import SqliteStore
from agent_bus_client.hub.sse import Event, Parser
from tests.support.bus import bus_in, settings_in, stream
from tests.support.patience import patience
from tests.support.store import ALPHA, BETA, GAMMA, ROSTER, draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.bus.broker import Stream
    from agent_bus.core.model import Sent
    from agent_bus.core.states import EndReason


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path, sends_per_s=1e9, send_burst=10**9) as one:
        yield one


class Peer:
    """Reads a subscription frame by frame, as the server would write it."""

    def __init__(self, core: Core, cursor: str | None = None, **more: Any) -> None:
        self.stream: Stream = stream(**{"is_watcher": True, **more})
        settings = Settings.model_validate(
            {"database": "/d", "admin_tokens_file": "/t", "keepalive_s": 0.05}
        )
        live = build_live(settings, core, greenlets.HangUps())
        subscription = Subscription(
            stream_parts(core), self.stream, live=live, version="v", cursor=cursor
        )
        core.broker.admit(self.stream)
        self.live = LiveStream(live, self.stream, subscription)
        self.parser = Parser()
        self._frames = iter(self.live)
        self._events: deque[Event] = deque()

    def frame(self) -> list[Event]:
        return self.parser.feed(next(self._frames))

    def until(self, kind: str) -> Event:
        while True:
            while self._events:
                event = self._events.popleft()
                if event.type == kind:
                    return event
            self._events.extend(self.frame())

    def rest(self) -> list[str]:
        for raw in self._frames:
            self._events.extend(self.parser.feed(raw))
        return [event.type for event in self._events]

    def until_quiet(self) -> list[str]:
        for raw in iter(lambda: next(self._frames), sse.KEEPALIVE):
            self._events.extend(self.parser.feed(raw))
        return [event.type for event in self._events]


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        ("other-1", "epoch"),
        ("{epoch}-", "epoch"),
        ("{epoch}-x", "epoch"),
        ("{epoch}--1", "epoch"),
        ("{epoch}-\u0661", "epoch"),
        ("{epoch}-" + "9" * 5000, "epoch"),
        ("{epoch}-" + "9" * 18, "ahead"),
        ("", "epoch"),
    ],
)
def test_a_cursor_that_leads_nowhere_is_reset(core: Core, cursor: str, reason: EndReason) -> None:
    core.bus.send(draft())
    peer = Peer(core, cursor.format(epoch=core.store.epoch))
    assert f'"reason":"{reason}"' in peer.until("reset").data
    assert '"seq":1' in peer.until("message").data
    assert peer.parser.last_event_id == f"{core.store.epoch}-1"


def test_a_long_backlog_is_followed_by_what_came_meanwhile(core: Core) -> None:
    total = REPLAY_PAGE * 2 + 7
    for number in range(total):
        core.bus.send(draft(body=str(number)))
    peer = Peer(core)
    seqs = []
    for _ in range(total):
        seqs.append(peer.until("message").event_id)
        if len(seqs) % 100 == 0:
            core.bus.send(draft(body="meanwhile"))
    while len(seqs) < total + total // 100:
        seqs.append(peer.until("message").event_id)
    assert seqs == [f"{core.store.epoch}-{n + 1}" for n in range(len(seqs))]


LARGE = "x" * (WRITE_BYTES // 2)
"""Two such messages are one write, so that ten of them are five."""


def test_a_moved_agents_mail_stops_in_the_middle_of_a_backlog(core: Core) -> None:
    for _ in range(10):
        core.bus.send(draft(body=LARGE))
    peer = Peer(core)
    peer.until("message")
    moved = {ALPHA: NodeName("n1"), BETA: NodeName("n2"), GAMMA: NodeName("n2")}
    core.bus.put_roster(Roster(agents=moved, tokens=ROSTER.tokens), force=False, dry_run=False)
    assert peer.until_quiet() == ["message", "mailbox"]


def test_a_revoked_stream_stops_in_the_middle_of_a_backlog(core: Core) -> None:
    for _ in range(10):
        core.bus.send(draft(body=LARGE))
    peer = Peer(core)
    peer.until("message")
    peer.stream.end("revoked")
    assert peer.rest() == ["message", "bye"]
    assert len(core.broker) == 0


def test_a_backlog_of_small_messages_takes_few_writes(core: Core) -> None:
    for number in range(REPLAY_PAGE):
        core.bus.send(draft(body=str(number)))
    peer = Peer(core)
    peer.until("hello")
    assert [len(peer.frame()) for _ in range(2)] == [REPLAY_PAGE, 0]


def test_what_came_together_is_written_together(core: Core) -> None:
    peer = Peer(core)
    peer.until_quiet()
    for number in range(5):
        core.bus.send(draft(body=str(number)))
    kinds = [event.type for event in peer.frame()]
    assert kinds == ["message", "mailbox"] * 5


def test_an_overflow_while_live_ends_with_bye_and_a_cursor_to_resume_from(core: Core) -> None:
    peer = Peer(core, queue_limit=10)
    peer.until("hello")
    core.bus.send(draft())
    peer.until("message")
    for _ in range(20):
        core.bus.send(draft())
    assert peer.until("bye").data == '{"to_agent":null,"reason":"overflow"}'
    again = Peer(core, peer.parser.last_event_id)
    resumed = f"{core.store.epoch}-{int(peer.parser.last_event_id.rpartition('-')[2]) + 1}"
    assert again.until("message").event_id == resumed


def test_hello_and_bye_say_when_to_come_back(core: Core) -> None:
    peer = Peer(core)
    assert '"reconnect_cap_s":2.0' in peer.until("hello").data
    core.broker.end_all("shutdown")
    assert 1000 <= (peer.until("bye").retry_ms or 0) <= 1500


def test_a_large_fleet_is_spread_though_it_is_not_back_yet(core: Core) -> None:
    tokens: dict[NodeName, tuple[str, ...]] = {
        NodeName(f"n{number}"): (f"{number:064x}",) for number in range(1000)
    }
    core.bus.put_roster(Roster(agents=ROSTER.agents, tokens=tokens), force=True, dry_run=False)
    peer = Peer(core, token_sha256=f"{1:064x}")
    assert '"reconnect_cap_s":5.0' in peer.until("hello").data


def test_a_stream_without_a_peer_says_no_bye(core: Core) -> None:
    peer = Peer(core)
    peer.until("hello")
    peer.stream.end("gone")
    with pytest.raises(BrokenPipeError):
        peer.rest()
    assert len(core.broker) == 0


def test_a_hub_that_is_stopping_says_bye_and_refuses_nobody_for_good(
    core: Core, tmp_path: Path
) -> None:
    core.bus.send(draft())
    core.broker.end_all("shutdown")
    live = build_live(settings_in(tmp_path), core, greenlets.HangUps())
    auth = build_authenticator(settings_in(tmp_path), frozenset(), core)
    streams = Streams(parts=stream_parts(core), auth=auth, live=live, version="v")
    own = f"{core.store.epoch}-1"
    for cursor, place in (("", ""), (own, own), ("other-1", ""), (f"{own}\nevent: x", "")):
        principal = Principal(NodeName("n1"), "1" * 64)
        call = Call(principal, StreamQuery(), None, headers={"last-event-id": cursor})
        answer = streams.open(call)
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        parser = Parser()
        (event,) = parser.feed(b"".join(answer.frames or ()))
        assert (event.type, event.event_id) == ("bye", place)
        assert parser.retry_ms is not None
        assert parser.retry_ms >= 1000


def test_a_closed_subscription_gives_lease_and_place_back(core: Core) -> None:
    peer = Peer(core)
    core.presence.opened(NodeName("n1"), peer.stream, (ALPHA, BETA))
    peer.until("hello")
    peer._frames.close()  # type: ignore[attr-defined] # a generator; the server does this
    peer.live.close()
    assert core.presence.lease(NodeName("n1")) is None
    assert len(core.broker) == 0


class Overtaken(SqliteStore):
    """A store in which a message is committed just after it was asked for the lowest unread."""

    overtake: Callable[[], object] | None = None

    def lowest_unread(self, agents: Sequence[AgentName]) -> Seq | None:
        lowest = super().lowest_unread(agents)
        if self.overtake is not None:
            self.overtake()
        return lowest


@pytest.mark.parametrize(("reason", "status"), [("lifetime", "online"), ("overflow", "deaf")])
def test_a_watcher_whose_stream_is_renewed_stays_online(
    core: Core, reason: EndReason, status: str
) -> None:
    peer = Peer(core)
    core.presence.opened(NodeName("n1"), peer.stream, (ALPHA,))
    peer.until("hello")
    peer.stream.end(reason)
    assert peer.rest()[-1] == "bye"
    assert core.presence.status(ALPHA) == status


def test_counters_of_before_hello_are_not_sent_after_it(tmp_path: Path) -> None:
    with bus_in(tmp_path, kind=Overtaken) as core:
        assert isinstance(core.store, Overtaken)
        first = core.bus.send(draft())
        later: list[Sent] = []

        def others_go_on() -> None:
            core.bus.fetch(BETA, first.deliveries)
            later.append(core.bus.send(draft()))

        core.store.overtake = others_go_on
        peer = Peer(core)
        assert '"unfetched":1' in peer.until("hello").data
        core.bus.fetch(BETA, later[0].deliveries)
        assert '"unfetched":0' in peer.until("mailbox").data


def test_a_message_committed_while_a_stream_opens_is_not_passed_over(tmp_path: Path) -> None:
    with bus_in(tmp_path, kind=Overtaken) as core:
        assert isinstance(core.store, Overtaken)
        core.store.overtake = lambda: core.bus.send(draft())
        peer = Peer(core)
        assert peer.until("message").event_id == f"{core.store.epoch}-1"


def test_a_message_right_between_backlog_and_live_comes_once(core: Core) -> None:
    peer = Peer(core)
    sender = gevent.spawn(lambda: [core.bus.send(draft(body=str(n))) for n in range(300)])
    ids = [peer.until("message").event_id for _ in range(300)]
    sender.get(timeout=patience())
    assert ids == [f"{core.store.epoch}-{n + 1}" for n in range(300)]
