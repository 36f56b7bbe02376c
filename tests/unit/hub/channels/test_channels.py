"""Channels over hours and days, with a real store, a fake clock and a played service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from agent_bus.channel_settings import Channel
from agent_bus.channels.channels import Channels
from agent_bus.core.model import OPERATOR
from agent_bus.webhooks.schedule import Attempt
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import draft, enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_bus.channels.channels import ChannelState
    from agent_bus.channels.teller import Item, Teller
    from agent_bus.core.model import Message, Sent
    from agent_bus.store.sqlite.sqlite_store import SqliteStore

OK = Attempt("delivered", "")
AWAY = Attempt("away", "error=500")


class Played:
    """A service that answers as it is set; it remembers what it was told, and when."""

    def __init__(self, clock: FakeClock) -> None:
        self.answer = OK
        self.asked: list[tuple[float, Item]] = []
        self.taken: list[Item] = []
        self._clock = clock

    def tell(self, item: Item) -> Attempt:
        self.asked.append((self._clock.monotonic(), item))
        if self.answer == OK:
            self.taken.append(item)
        return self.answer

    def close(self) -> None:
        """Nothing runs."""


class Trial:
    """Channels whose rounds are run by hand; time goes on to the next one."""

    def __init__(self, store: SqliteStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.service = Played(clock)
        self.leads = True
        self.use()

    def use(self, links: Callable[[Message], str | None] = lambda _: None, **rules: Any) -> None:
        """Have one channel with these rules, as a hub that was just started."""
        whole = {"name": "phone", "url": "ntfy://h/t", "timezone": "Europe/Berlin", **rules}
        self.channels = Channels(
            [Channel.model_validate(whole)],
            outgoing=self.store.outgoing,
            clock=self.clock,
            leads=lambda: self.leads,
            page_url="https://bus/",
            links=links,
            teller=cast("Teller", self.service),
        )
        (destination,) = self.channels.destinations
        self.wants = destination.wants
        self.courier = destination.courier
        self.store.outgoing.adopt([destination.name])

    def send(self, count: int = 1, *, rank: int = 0, **more: Any) -> list[Sent]:
        sent = [
            self.store.send(draft(OPERATOR, rank=rank, **more), depth_limit=50)
            for _ in range(count)
        ]
        outgoing = self.store.outgoing
        while outgoing.feed(
            lambda k, agent: ["channel.phone"] * self.wants(k, agent), limit=10**6
        ).has_more:
            pass
        return sent

    def run(self, seconds: float) -> None:
        """Let the courier go on for so long."""
        end = self.clock.monotonic() + seconds
        while True:
            wait_s = self.courier.deliver()
            left_s = end - self.clock.monotonic()
            if left_s <= 0:
                return
            self.clock.advance(min(wait_s, left_s))

    def run_until(self, hour: int, minute: int = 0) -> None:
        """Go on to the next such time of day, UTC."""
        now_s = self.clock.now_ms() / 1000
        self.run((hour * 3600 + minute * 60 - now_s) % DAY_S)

    @property
    def titles(self) -> list[str]:
        return [one.title for one in self.service.taken]

    @property
    def state(self) -> ChannelState:
        (found,) = self.channels.states()
        return found


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        yield Trial(enrolled(store), clock)


def test_an_urgent_message_is_told_once_within_seconds_and_noted(trial: Trial) -> None:
    (sent,) = trial.send()
    trial.run(3)
    trial.run(DAY_S)
    assert trial.titles == ["[urgent] Message from alpha"]
    assert trial.service.taken[0].text.endswith(f"https://bus/messages/{sent.message.id}")
    (told,) = trial.store.outgoing.tellings([sent.deliveries[0].seq])
    assert told.name == "channel.phone"
    assert (trial.state.queue.pending, trial.state.queue.delivered) == (0, 1)


def test_other_priorities_what_is_read_and_what_expired_are_not_told(trial: Trial) -> None:
    trial.send(rank=2)
    (read,) = trial.send()
    trial.send(expires_in_s=1)
    trial.store.ack_ids(OPERATOR, [read.message.id])
    trial.run(60)
    assert trial.service.asked == []
    assert (trial.state.queue.pending, trial.state.queue.delivered) == (0, 0)


def test_a_burst_is_a_few_notifications(trial: Trial) -> None:
    trial.send(100)
    trial.run(60)
    assert trial.titles == ["100 messages for you, 100 urgent"]
    for _ in range(30):
        trial.send(10)
        trial.run(5)
    assert len(trial.titles) <= 1 + 3 + 150 / 30
    trial.run(60)
    assert trial.state.queue.delivered == 400


def test_a_question_keeps_its_link_however_often_its_notification_is_tried(trial: Trial) -> None:
    made: list[str] = []

    def link(message: Message) -> str:
        made.append(message.id)
        return f"https://bus/answer/{len(made)}"

    trial.use(link)
    trial.service.answer = AWAY
    (sent,) = trial.send()
    trial.run(3 * 3600)
    assert len(trial.service.asked) > 5
    assert made == [sent.message.id]


def test_at_night_only_what_is_excepted_is_told(trial: Trial) -> None:
    trial.use(quiet_hours={"from": "22:00", "to": "07:00"})
    trial.run_until(22)  # 23:00 or 24:00 in Berlin
    trial.send(rank=1, subject="later")
    trial.send(rank=0, subject="now")
    trial.run(60)
    assert trial.titles == ["[urgent] alpha: now"]
    assert trial.state.held_by == "quiet_hours"
    trial.use(quiet_hours={"from": "22:00", "to": "07:00"})  # the hub is restarted in between
    trial.run_until(7, 1)
    assert trial.titles == ["[urgent] alpha: now", "[high] alpha: later"]
    assert trial.state.held_by is None


def test_a_digest_is_one_notification_of_all_that_came(trial: Trial) -> None:
    trial.use(digest={"at": "07:30", "except": []})
    trial.run_until(8)
    for subject in "abc":
        trial.send(subject=subject)
        trial.run(3600)
    assert trial.titles == []
    assert trial.state.held_by == "digest"
    trial.run_until(7)
    assert trial.titles == ["3 messages for you, 3 urgent"]


def test_a_service_that_is_down_for_an_hour_gets_all_within_minutes(trial: Trial) -> None:
    trial.service.answer = AWAY
    trial.send(subject="first")
    trial.run(1800)
    trial.send(20)
    trial.run(1800)
    assert 10 < len(trial.service.asked) < 20
    assert trial.channels.failures() == {"phone": len(trial.service.asked)}
    assert (trial.state.held_by, trial.state.queue.error) == ("failures", "error=500")
    trial.use()  # the hub is restarted
    trial.service.answer = OK
    trial.run(400)
    assert len(trial.titles) == 2
    assert trial.state.queue.delivered == 21
    assert trial.channels.failures() == {"phone": 0}


def test_what_no_service_takes_is_given_up_after_three_days(trial: Trial) -> None:
    trial.service.answer = AWAY
    trial.send(3)
    trial.run(4 * DAY_S)
    assert (trial.state.queue.pending, trial.state.queue.dead) == (0, 3)


def test_a_message_that_is_never_taken_does_not_hold_up_the_others(trial: Trial) -> None:
    class Picky(Played):
        def tell(self, item: Item) -> Attempt:
            self.answer = AWAY if "poison" in item.title + item.text else OK
            return super().tell(item)

    trial.service = Picky(trial.clock)
    trial.use()
    trial.send(subject="poison")
    trial.send(5, subject="good")
    trial.run(3600)
    assert trial.state.queue.delivered == 5
    assert trial.state.queue.pending == 1


def test_a_hub_that_does_not_lead_tells_nothing(trial: Trial) -> None:
    trial.leads = False
    trial.send()
    trial.run(60)
    assert trial.service.asked == []
    trial.leads = True
    trial.run(60)
    assert len(trial.titles) == 1


def test_a_test_that_is_taken_lets_out_what_waits(trial: Trial) -> None:
    trial.service.answer = AWAY
    trial.send()
    trial.run(3600)
    trial.service.answer = OK
    assert trial.channels.test("phone") == OK
    trial.run(1)
    assert trial.titles == ["Test of a channel of agent-bus", "[urgent] Message from alpha"]
