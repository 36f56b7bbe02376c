"""The storm guard over a real bus: what watchers get, what is kept, what the operator reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import pytest

from agent_bus.bus.guards import storm as module
from agent_bus.core import errors
from agent_bus.core.guards.storms.signals import EVERYBODY, Said
from agent_bus.core.model import BUS, OPERATOR, AgentName, MessageId, Seq
from agent_bus.core.slices import InboxSlice
from agent_bus.store.cluster import StormTold
from agent_bus.store.guards.storms import KeptStorm
from tests.support.bus import admitted, bus_in, events
from tests.support.clock import FakeClock
from tests.support.patience import wait_until
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.core.model import Sent

GAMMA = AgentName("gamma")
LIMITS: dict[str, Any] = {
    "storm_turns": 8,
    "storm_more": 2,
    "storm_spacing_s": 10,
    "storm_quiet_s": 60,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 0.0)
    monkeypatch.setattr(module, "TICK_S", 0.01)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def core(tmp_path: Path, clock: FakeClock) -> Iterator[Core]:
    with bus_in(tmp_path, clock=clock, **LIMITS) as one:
        one.storm.start()
        yield one


def send(core: Core, sender: AgentName, to: AgentName, **more: Any) -> Sent:
    return core.bus.send(draft(to, sender=sender, **more))


def ping_pong(core: Core, count: int) -> list[Sent]:
    """Alpha and beta answer each other, always with a new message."""
    pair, found = (ALPHA, BETA), []
    for number in range(count):
        found.append(send(core, pair[number % 2], pair[1 - number % 2], body=f"number {number}"))
        core.clock.advance(1)  # type: ignore[attr-defined]
    return found


def held(core: Core) -> list[Sent]:
    return ping_pong(core, 8 + 2 + 1)


def counts(watcher: Any, agent: str) -> list[tuple[str, int, str | None]]:
    """(event, unfetched or seq, held or not) of one agent."""
    return [
        (kind, one.get("unfetched", one.get("seq")), one.get("wake"))
        for kind, one in events(watcher)
        if agent in {one.get("agent"), one.get("to_agent")}
    ]


def quiet(core: Core) -> None:
    """Let the guard's greenlets do what they have to."""
    for _ in range(20):
        gevent.sleep(0.005)
    core.storm.flush()


def test_a_held_delivery_is_pushed_but_gives_no_reason_to_wake(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    last = held(core)[-1]
    (to,) = last.deliveries
    assert core.storm.is_held(to)
    told = counts(watcher, to.agent)
    assert ("message", to.seq, "held") in told
    assert told[-1][:2] == ("mailbox", 5)
    assert core.counters.mailbox(to.agent).unfetched == 6


def test_other_mail_to_the_same_agent_still_wakes_it(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    last = held(core)[-1].deliveries[0]
    events(watcher)
    other = send(core, GAMMA, last.agent).deliveries[0]
    assert counts(watcher, last.agent) == [("message", other.seq, None), ("mailbox", 6, None)]


def test_a_fault_of_the_guard_keeps_no_message_from_its_streams(
    core: Core, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = admitted(core, is_watcher=True)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(core.storm.guard.signals, "take", fail)
    sent = send(core, ALPHA, BETA).deliveries[0]
    said = Said(ALPHA, (BETA,), Seq(9), MessageId("T"), 0, None)
    core.storm.hear(said)
    assert counts(watcher, BETA) == [("message", sent.seq, None), ("mailbox", 1, None)]
    assert caplog.text.count("could not look at a message") == 2


def test_held_mail_can_be_read_as_any_other(core: Core) -> None:
    last = held(core)[-1].deliveries[0]
    page = core.store.inbox(InboxSlice(last.agent, limit=100))
    assert last.seq in {one.seq for one in page}


def test_the_operator_reads_who_why_what_was_said_and_what_to_do(core: Core) -> None:
    held(core)
    quiet(core)
    (notice,) = core.store.inbox(InboxSlice(OPERATOR, limit=10))
    assert notice.message.sender == BUS
    assert notice.message.subject == "Held: alpha, beta keep each other busy"
    for part in ("8 times", "beta to alpha: number 9", 'agent-bus-admin release "alpha,beta"'):
        assert part in notice.message.body


def test_a_hold_is_there_after_a_restart_with_what_it_withholds(
    tmp_path: Path, clock: FakeClock
) -> None:
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        last = held(core)[-1].deliveries[0]
        quiet(core)
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        assert core.storm.is_held(last)
        watcher = admitted(core, is_watcher=True)
        again = send(core, last.message.sender, last.agent).deliveries[0]
        assert core.storm.is_held(again)
        assert counts(watcher, last.agent)[-1][:2] == ("mailbox", 5)


def test_what_was_only_damped_wakes_after_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        last = ping_pong(core, 10)[-1].deliveries[0]
        assert core.storm.is_held(last)
        core.storm.flush()
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        assert not core.storm.is_held(last)
        quiet(core)
        assert core.store.storms.withheld() == []  # type: ignore[attr-defined]


def test_a_release_wakes_at_once_and_is_there_after_a_restart(
    tmp_path: Path, clock: FakeClock
) -> None:
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        last = held(core)[-1].deliveries[0]
        quiet(core)
        watcher = admitted(core, is_watcher=True)
        assert core.storm.release("beta, alpha").key == "alpha,beta"
        assert counts(watcher, last.agent)[-1][:2] == ("mailbox", 6)
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        assert not core.storm.guard.storms
        times = core.store.storms.times([last.seq])  # type: ignore[attr-defined]
        assert times[last.seq].let_go_at == clock.now_ms()


def test_held_broadcasts_that_went_quiet_are_not_held_after_a_restart(
    tmp_path: Path, clock: FakeClock
) -> None:
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        storms = core.store.storms  # type: ignore[attr-defined]
        storms.keep(KeptStorm(EVERYBODY, "echoes", (ALPHA, BETA), 1, 2))
        core.storm.start()
        assert core.storm.guard.storms[EVERYBODY].level == "held"
        clock.advance(61)
        wait_until(lambda: storms.held() == [], "the end to be kept", pause=gevent.sleep)
        clock.advance(61)
        wait_until(lambda: not core.storm.guard.storms, "the calm", pause=gevent.sleep)


def test_a_word_of_the_operator_lets_it_go_on_for_good(core: Core) -> None:
    last = held(core)[-1]
    quiet(core)
    send(core, OPERATOR, last.message.sender, reply_to=None)
    assert core.storm.guard.storms  # a word to one of them in another thread is none to both
    core.bus.send(draft(sender=OPERATOR, recipients=(ALPHA, BETA), body="Go on."))
    assert not core.storm.guard.storms
    wait_until(
        lambda: core.store.storms.held() == [],  # type: ignore[attr-defined]
        "the release to be kept",
        pause=gevent.sleep,
    )


def test_a_damped_storm_wakes_again_in_time(core: Core, clock: FakeClock) -> None:
    watcher = admitted(core, is_watcher=True)
    last = ping_pong(core, 10)[-1].deliveries[0]
    assert core.storm.is_held(last)
    clock.advance(10)
    wait_until(lambda: not core.storm.is_held(last), "the next wake", pause=gevent.sleep)
    assert counts(watcher, last.agent)[-1][:2] == ("mailbox", 5)


def test_what_an_agent_has_fetched_is_no_longer_withheld(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    last = held(core)[-1].deliveries[0]
    core.bus.fetch(last.agent, [last])
    wait_until(lambda: not core.storm.is_held(last), "the look", pause=gevent.sleep)
    assert counts(watcher, last.agent)[-1][:2] == ("mailbox", 5)


def two_withheld(core: Core) -> tuple[Sent, Sent]:
    """Two messages of a held pair, all earlier ones fetched."""
    last = held(core)[-1].deliveries[0]
    core.bus.fetch(last.agent, core.store.inbox(InboxSlice(last.agent, limit=100)))
    quiet(core)
    sender = last.message.sender
    return send(core, sender, last.agent), send(core, sender, last.agent)


def test_withheld_mail_that_is_read_without_a_fetch_hides_no_other_mail(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    first, _ = two_withheld(core)
    to = first.deliveries[0].agent
    core.bus.ack(to, ids=[first.message.id], up_to=None)
    quiet(core)
    events(watcher)
    other = send(core, GAMMA, to).deliveries[0]
    assert counts(watcher, to) == [("message", other.seq, None), ("mailbox", 1, None)]


def test_what_is_fetched_while_no_watcher_is_there_hides_no_other_mail(core: Core) -> None:
    first, second = two_withheld(core)
    to = first.deliveries[0].agent
    core.bus.fetch(to, [first.deliveries[0], second.deliveries[0]])
    send(core, GAMMA, to)
    quiet(core)
    watcher = admitted(core, is_watcher=True)
    core.fanout.publish_mailbox(to)
    assert counts(watcher, to) == [("mailbox", 1, None)]


def test_a_look_that_fails_is_tried_again(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = two_withheld(core)
    looks = []

    def fail(_: object) -> list[Seq]:
        looks.append(1)
        raise errors.DiskFullError

    with monkeypatch.context() as broken:
        broken.setattr(core.store.storms, "unfetched", fail)  # type: ignore[attr-defined]
        core.bus.ack(first.deliveries[0].agent, ids=[first.message.id], up_to=None)
        wait_until(lambda: looks, "the look", pause=gevent.sleep)
    wait_until(
        lambda: not core.storm.is_held(first.deliveries[0]), "the next look", pause=gevent.sleep
    )


class Failing:
    """Lets a write of the store fail for a while."""

    def __init__(self, core: Core, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_on = True
        self.count = 0
        storms = core.store.storms  # type: ignore[attr-defined]
        real = getattr(storms, name)

        def write(*args: Any, **more: Any) -> Any:
            self.count += 1
            if self.is_on:
                raise errors.DiskFullError
            return real(*args, **more)

        monkeypatch.setattr(storms, name, write)


def soon(condition: Any, what: str) -> None:
    wait_until(condition, what, pause=gevent.sleep)


def test_a_release_that_is_not_kept_changes_nothing_and_can_be_repeated(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = held(core)[-1].deliveries[0]
    quiet(core)
    watcher = admitted(core, is_watcher=True)
    full = Failing(core, "release", monkeypatch)
    with pytest.raises(errors.DiskFullError):
        core.storm.release("alpha,beta")
    assert core.storm.is_held(last)
    full.is_on = False
    core.storm.release("alpha,beta")
    assert counts(watcher, last.agent)[-1][:2] == ("mailbox", 6)


def test_a_word_of_the_operator_is_kept_once_the_store_takes_it(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(core)
    quiet(core)
    full = Failing(core, "release", monkeypatch)
    core.bus.send(draft(sender=OPERATOR, recipients=(ALPHA, BETA), body="Go on."))
    soon(lambda: full.count, "the first try")
    full.is_on = False
    soon(lambda: core.store.storms.held() == [], "the next")  # type: ignore[attr-defined]


def test_a_hold_is_kept_and_told_once_the_store_takes_it(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Failing(core, "keep", monkeypatch)
    held(core)
    soon(lambda: full.count, "the first try")
    assert core.store.inbox(InboxSlice(OPERATOR, limit=9)) == []
    full.is_on = False
    soon(lambda: core.store.inbox(InboxSlice(OPERATOR, limit=9)), "the notice")
    assert [one.key for one in core.store.storms.held()] == ["alpha,beta"]  # type: ignore[attr-defined]


def test_what_is_withheld_is_kept_once_the_store_takes_it(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Failing(core, "note", monkeypatch)
    held(core)
    soon(lambda: full.count, "the first try")
    full.is_on = False
    soon(core.store.storms.withheld, "the next")  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_told", [True, False])
def test_the_operator_hears_of_a_hold_once_though_the_hub_was_killed(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, *, is_told: bool
) -> None:
    with monkeypatch.context() as before, bus_in(tmp_path, clock=clock, **LIMITS) as core:
        before.setattr(module, "SETTLE_S", 0.0 if is_told else 5.0)
        core.storm.start()
        held(core)
        soon(core.store.storms.held, "the hold")  # type: ignore[attr-defined]
        quiet(core)
        assert len(core.store.inbox(InboxSlice(OPERATOR, limit=9))) == is_told
    with bus_in(tmp_path, clock=clock, **LIMITS) as core:
        core.storm.start()
        soon(lambda: core.store.inbox(InboxSlice(OPERATOR, limit=9)), "the notice")
        quiet(core)
        assert len(core.store.inbox(InboxSlice(OPERATOR, limit=9))) == 1


def test_releasing_what_is_not_held_says_what_is(core: Core) -> None:
    held(core)
    with pytest.raises(errors.UnknownStormError, match="alpha,beta is"):
        core.storm.release("alpha,gamma")


def test_what_another_hub_found_first_is_taken_over(core: Core) -> None:
    held(core)
    since = core.storm.guard.storms["alpha,beta"].since_at
    fact = StormTold("alpha,beta", "turns", (ALPHA, BETA), since - 5, "held")
    core.storm.hear_told(fact)
    assert core.storm.guard.storms["alpha,beta"].since_at == since - 5
    core.storm.hear_told(StormTold("alpha,beta", "turns", (ALPHA, BETA), since, "released"))
    assert not core.storm.guard.storms
