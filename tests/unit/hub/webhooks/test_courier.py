"""Deliveries of one webhook over hours and days, with a real store and a played receiver."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest

from agent_bus.core import alerts
from agent_bus.webhook_settings import Webhook
from agent_bus.webhooks.courier import Courier
from agent_bus.webhooks.receivers import Receivers
from agent_bus.webhooks.schedule import Attempt
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import BETA, draft, enrolled, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent_bus.store.outgoing import WebhookState
    from agent_bus.store.sqlite.sqlite_store import SqliteStore
    from agent_bus.webhooks.post import Receiver

OK = Attempt("delivered", "")
AWAY = Attempt("away", "500 Internal Server Error")
WEBHOOK = Webhook.model_validate({"name": "ops", "url": "https://ops.example.com/", "fleet": True})


class Played:
    """A receiver that answers by what it is asked; it remembers when it was asked for what."""

    def __init__(self, clock: FakeClock) -> None:
        self.answer: Callable[[str], Attempt] = lambda _id: OK
        self.asked: list[tuple[float, str]] = []
        self._clock = clock

    def post(self, event_id: str, _body: bytes) -> Attempt:
        self.asked.append((self._clock.monotonic(), event_id))
        return self.answer(event_id)

    def close(self) -> None:
        """Nothing is open."""


class Trial:
    """A courier whose rounds are run by hand; time goes on to the next one."""

    def __init__(self, store: SqliteStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.receiver = Played(clock)
        self.leads = True
        store.outgoing.adopt(["ops"])
        self.courier = self.another()

    def another(self) -> Courier:
        """A courier as a restarted hub makes it."""
        return Courier(
            "ops",
            Receivers(WEBHOOK, [cast("Receiver", self.receiver)]),
            what="Webhook ops",
            outgoing=self.store.outgoing,
            clock=self.clock,
            leads=lambda: self.leads,
            chance=lambda: 0.0,
        )

    def send(self, count: int = 1) -> list[str]:
        """Queue messages; answers their events' ids."""
        ids = []
        for _ in range(count):
            sent = self.store.send(draft(), depth_limit=50)
            ids.append(f"ops_message_{sent.message.id}_beta")
        outgoing = self.store.outgoing
        while outgoing.feed(lambda _k, agent: ["ops"] * (agent == BETA), limit=10**6).has_more:
            pass
        return ids

    def run(self, seconds: float) -> None:
        """Let the courier go on for so long."""
        end = self.clock.monotonic() + seconds
        while True:
            wait_s = self.courier.deliver()
            left_s = end - self.clock.monotonic()
            if left_s <= 0:
                return
            self.clock.advance(min(wait_s, left_s))

    @property
    def state(self) -> WebhookState:
        return self.store.outgoing.states()[0]

    def taken(self) -> Counter[str]:
        return Counter(one for _, one in self.receiver.asked if self.receiver.answer(one) == OK)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        yield Trial(enrolled(store), clock)


def test_events_go_out_in_order_and_once(trial: Trial) -> None:
    ids = trial.send(150)
    trial.run(1)
    assert [one for _, one in trial.receiver.asked] == ids
    state = trial.state
    assert (state.pending, state.delivered, state.failures) == (0, 150, 0)
    assert state.succeeded_at is not None


def test_a_receiver_that_is_away_is_asked_less_and_less_and_all_comes_when_it_is_back(
    trial: Trial,
) -> None:
    trial.receiver.answer = lambda _id: AWAY
    ids = trial.send(30)
    trial.run(3600)
    asked = [at - trial.receiver.asked[0][0] for at, _ in trial.receiver.asked]
    assert [round(at) for at in asked[:4]] == [0, 5, 305, 605]
    assert len(asked) == 13  # one every five minutes, for the whole webhook
    assert (trial.state.pending, trial.state.error) == (30, AWAY.words)
    trial.receiver.answer = lambda _id: OK
    trial.receiver.asked.clear()
    trial.run(301)
    assert trial.taken() == Counter(ids)
    assert (trial.state.pending, trial.state.failures) == (0, 0)


def test_an_event_that_the_receiver_cannot_take_does_not_hold_up_the_others(trial: Trial) -> None:
    poison, *others = trial.send(20)
    for answer in (Attempt("refused", "400 Bad Request"), AWAY):
        trial.receiver.answer = lambda one, said=answer: said if one == poison else OK  # type: ignore[misc]
        trial.run(6)
        assert trial.taken() == Counter(others)
    trial.run(DAY_S)
    assert trial.state.pending == 1
    more = trial.send(5)
    trial.run(6)
    assert trial.taken() == Counter(others + more)


def test_after_three_days_an_event_is_given_up_with_an_alert(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: AWAY
    (only,) = trial.send()
    trial.run(3 * DAY_S - 60)
    assert (trial.state.pending, trial.state.dead) == (1, 0)
    trial.run(120)
    assert (trial.state.pending, trial.state.dead) == (0, 1)
    hours = [round((at - 1000) / 3600, 1) for at, one in trial.receiver.asked if one == only]
    assert hours == [0, 0, 0.1, 0.6, 2.6, 7.6, 17.6, 31.6, 51.6, 72]
    lost_at = trial.state.lost_at
    assert lost_at is not None
    found = alerts.holding(
        figures(webhooks_lost_s={"ops": (trial.clock.now_ms() - lost_at) / 1000})
    )
    assert [(one.rule.name, one.subject) for one in found] == [("AgentBusWebhookLost", "ops")]


def test_of_many_events_none_is_given_up_before_its_time_and_all_are_then(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: AWAY
    trial.send(3000)
    trial.run(3 * DAY_S - 300)
    assert (trial.state.pending, trial.state.dead) == (3000, 0)
    late = trial.send(2)
    trial.run(1800)
    assert (trial.state.pending, trial.state.dead) == (2, 3000)
    trial.receiver.asked.clear()
    trial.receiver.answer = lambda _id: OK
    trial.run(301)
    assert trial.taken() == Counter(late)


def test_a_receiver_that_is_gone_is_asked_no_more_until_a_retry(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: Attempt("gone", "410 Gone")
    ids = trial.send(3)
    trial.run(DAY_S)
    assert len(trial.receiver.asked) == 1
    assert trial.state.disabled_at is not None
    trial.receiver.answer = lambda _id: OK
    trial.store.outgoing.hasten("ops")
    trial.run(1)
    assert trial.taken() == Counter([ids[0], *ids])


def test_what_waits_for_a_receiver_that_is_gone_is_given_up_too(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: Attempt("gone", "410 Gone")
    trial.send(3)
    trial.run(3 * DAY_S + 7200)
    assert (trial.state.pending, trial.state.dead) == (0, 3)


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: Attempt("away", "429 Too Many Requests", 90.0)
    trial.send(3)
    trial.run(200)
    asked = [round(at - 1000) for at, _ in trial.receiver.asked]
    assert asked == [0, 90]


def test_a_restart_during_the_backoff_neither_loses_nor_hurries(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: AWAY
    ids = trial.send(4)
    trial.run(60)
    before = len(trial.receiver.asked)
    trial.courier = trial.another()
    trial.run(60)
    assert len(trial.receiver.asked) == before
    trial.receiver.answer = lambda _id: OK
    trial.run(600)
    assert Counter(one for at, one in trial.receiver.asked if at >= 1120) == Counter(ids)


def test_a_hub_that_no_longer_leads_keeps_what_it_did_and_stops(trial: Trial) -> None:
    ids = trial.send(2)
    assert trial.courier.deliver() == 0
    trial.leads = False
    trial.send(2)
    trial.run(10)
    assert [one for _, one in trial.receiver.asked] == ids
    assert (trial.state.pending, trial.state.delivered) == (2, 2)


def test_a_wall_clock_that_jumps_changes_no_wait(trial: Trial) -> None:
    trial.receiver.answer = lambda _id: AWAY
    trial.send()
    trial.run(10)
    for jump_s in (5 * DAY_S, -10 * DAY_S):
        trial.clock.jump(jump_s)
        trial.run(60)
    assert (trial.state.pending, trial.state.dead) == (1, 0)
    assert len(trial.receiver.asked) == 2


def test_a_failure_of_the_hub_itself_is_the_failure_of_one_event(trial: Trial) -> None:
    poison, *others = trial.send(3)

    def answer(one: str) -> Attempt:
        if one == poison:
            raise ValueError("a secret")
        return OK

    trial.receiver.answer = answer
    trial.run(1)
    assert [one for _, one in trial.receiver.asked] == [poison, *others]
    assert (trial.state.pending, trial.state.error) == (1, "the hub failed: ValueError")


def figures(**more: Any) -> alerts.Figures:
    calm: dict[str, Any] = {
        "silent_nodes": (), "deaf_gateways": (), "oldest_unread_s": {}, "disk_full_5m": 0,
        "refused_5m": 0, "commit_p99_s": 0.0, "wal_bytes": 0, "queue_events_max": 0,
        "certificates_s": {}, "disk_free_bytes": 10**12, "disk_full_s": None, "rotating_s": {},
        "backup_age_s": 0.0, "archive_over_s": 0.0,
    }  # fmt: skip
    return alerts.Figures(**{**calm, **more})
