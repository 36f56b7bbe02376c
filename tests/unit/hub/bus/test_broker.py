from __future__ import annotations

from typing import TYPE_CHECKING

import gevent
import pytest

from agent_bus.bus import broker as module
from agent_bus.bus.broker import Broker, Entry, Holder
from agent_bus.core import errors
from agent_bus.core.model import AgentName, NodeName
from tests.support.bus import frames, stream
from tests.support.patience import patience

if TYPE_CHECKING:
    from agent_bus.core.states import EndReason

BETA = AgentName("beta")


@pytest.fixture
def broker() -> Broker:
    return Broker(streams_total=4, streams_per_token=2)


def test_limits_per_token_and_in_all(broker: Broker) -> None:
    first = stream()
    broker.admit(first)
    broker.admit(stream())
    with pytest.raises(errors.TooManyStreamsError):
        broker.admit(stream())
    broker.leave(first)
    broker.leave(first)
    for node in ("n2", "n2", "n3"):
        broker.admit(stream(node, token_sha256=node))
    with pytest.raises(errors.TooManyStreamsError):
        broker.admit(stream("n4"))
    assert len(broker) == 4


def test_a_newer_watcher_ends_the_older_and_takes_its_place_under_the_limit(
    broker: Broker,
) -> None:
    older = stream(is_watcher=True)
    broker.admit(older)
    broker.admit(stream())
    newer = stream(is_watcher=True)
    broker.admit(newer)
    assert older.end_reason == "superseded"
    assert broker.watcher_of(newer.node or older.node) is newer  # type: ignore[arg-type] # set


def test_a_watcher_that_is_refused_does_not_end_the_one_that_works(broker: Broker) -> None:
    older = stream(is_watcher=True)
    broker.admit(older)
    for token in ("a", "a"):
        broker.admit(stream(token_sha256=token))
    with pytest.raises(errors.TooManyStreamsError):
        broker.admit(stream(is_watcher=True, token_sha256="a"))
    assert older.end_reason is None


def test_a_full_queue_ends_the_stream_by_count_and_by_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "QUEUE_BYTES", 1000)
    many = stream(queue_limit=3)
    for _ in range(4):
        many.put(Entry(b"x"))
    assert many.end_reason == "overflow"
    assert frames(many) == []
    large = stream()
    for _ in range(3):
        large.put(Entry(b"x" * 600))
    assert large.end_reason == "overflow"
    steady = stream()
    for _ in range(100):
        steady.put(Entry(b"x" * 600))
        assert frames(steady) == [b"x" * 600]
    assert steady.end_reason is None


def test_what_waits_is_still_written_at_the_end_of_a_lifetime_only() -> None:
    cases: dict[EndReason, list[bytes]] = {"lifetime": [b"x"], "shutdown": [b"x"], "revoked": []}
    for reason, left in cases.items():
        one = stream()
        one.put(Entry(b"x"))
        one.end(reason)
        one.end("overflow")
        one.put(Entry(b"later"))
        assert one.end_reason == reason
        assert frames(one) == left


def test_a_waiting_stream_takes_what_comes() -> None:
    one = stream()
    gevent.spawn(one.put, Entry(b"x"))
    assert [entry.frame for entry in one.take(5)] == [b"x"]
    gevent.spawn(one.end, "shutdown")
    assert one.take(5) == []


def test_what_waits_is_taken_for_one_write_up_to_its_size() -> None:
    one = stream()
    large = b"x" * (module.WRITE_BYTES // 2)
    for _ in range(5):
        one.put(Entry(large))
    assert [len(one.take(0)) for _ in range(4)] == [2, 2, 1, 0]


def test_what_was_taken_without_waiting_wakes_nobody_later() -> None:
    one = stream()
    one.put(Entry(b"x"))
    assert len(one.take(5)) == 1
    gevent.spawn(one.put, Entry(b"y"))
    assert [entry.frame for entry in one.take(5)] == [b"y"]


def poll(
    broker: Broker, *, token: str = "t", agent: AgentName = BETA, timeout_s: float = 60
) -> bool:
    return broker.wait_for_inbox(agent, holder=Holder(NodeName("n1"), token), timeout_s=timeout_s)


def test_long_polls_wake_and_end_with_the_hub(broker: Broker) -> None:
    polls = [gevent.spawn(poll, broker) for _ in range(2)]
    gevent.sleep(0)
    broker.wake_inbox(BETA)
    assert [one.get(timeout=patience()) for one in polls] == [True, True]
    assert poll(broker, timeout_s=0.001) is False
    last = gevent.spawn(poll, broker)
    gevent.sleep(0)
    broker.end_all("shutdown")
    assert last.get(timeout=patience()) is False
    assert poll(broker) is False
    with pytest.raises(errors.NotReadyError):
        broker.admit(stream())
    assert broker._waiting == {}


def test_long_polls_count_as_streams_of_their_token_and_in_all(broker: Broker) -> None:
    broker.admit(stream(token_sha256="t"))
    first = gevent.spawn(poll, broker)
    gevent.sleep(0)
    with pytest.raises(errors.TooManyStreamsError, match="this token"):
        poll(broker, agent=AgentName("alpha"))
    with pytest.raises(errors.TooManyStreamsError, match="this token"):
        broker.admit(stream(token_sha256="t"))
    others = [gevent.spawn(poll, broker, token=token) for token in ("u", "v")]
    gevent.sleep(0)
    for refused in (lambda: poll(broker, token="w"), lambda: broker.admit(stream("n4"))):
        with pytest.raises(errors.TooManyStreamsError, match="the hub"):
            refused()
    broker.wake_inbox(BETA)
    assert all(one.get(timeout=patience()) for one in (first, *others))
    broker.admit(stream(token_sha256="t"))
