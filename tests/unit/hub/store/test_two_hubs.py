"""Two stores on one PostgreSQL, in one process: each publishes what both commit, in one order."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from agent_bus.core import errors, states
from agent_bus.core.clock import SystemClock
from agent_bus.core.guards.hold import FAR_AT
from agent_bus.core.guards.pauses import AGENT, Pause
from agent_bus.runtime import greenlets
from agent_bus.store import cluster as told
from agent_bus.store.postgres.cluster import postgres_cluster
from agent_bus.store.postgres.link.address import Address
from agent_bus.store.postgres.postgres_store import PostgresStore
from tests.support import postgres
from tests.support.store import BETA, GAMMA, ROSTER, draft, enrolled, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agent_bus.core.guards.storms.signals import Said
    from agent_bus.core.model import Acked, AgentName, MailboxCounts, Roster, Sent


@dataclass
class Ear:
    """Hears everything, in one list: own commits as their listener, those of others as hearer."""

    wanted: bool = True
    heard: list[tuple[str, Any]] = field(default_factory=list)
    boxes: dict[AgentName, MailboxCounts] = field(default_factory=dict)
    facts: list[tuple[str, told.Fact]] = field(default_factory=list)
    rosters: list[Roster] = field(default_factory=list)
    live: int = 1
    is_fenced: bool = False

    def wants(self, _agents: Sequence[AgentName]) -> bool:
        return self.wanted

    def wants_receipts(self) -> bool:
        return self.wanted

    def on_sent(self, sent: Sent) -> None:
        self.heard.append((sent.message.body, [d.seq for d in sent.deliveries]))
        self.on_mailboxes(sent.mailboxes)

    def on_passed(self, first_seq: int, agents: Sequence[AgentName], _expires: int | None) -> None:
        self.heard.append(("passed", [first_seq + n for n in range(len(agents))]))

    def on_said(self, _said: Said) -> None:
        """Tests of two hubs and a storm look at it: tests/api/test_storms_hubs.py."""

    def on_missed(self) -> None:
        self.heard.append(("missed", []))

    def on_acked(self, acked: Acked) -> None:
        self.heard.append(("acked", [d.seq for d in acked.receipts]))
        self.on_mailboxes(acked.mailboxes)

    def on_mailboxes(self, mailboxes: Sequence[MailboxCounts]) -> None:
        self.boxes.update({box.agent: box for box in mailboxes})

    def on_roster(self, roster: Roster, _agents: Any) -> None:
        self.rosters.append(roster)

    def on_fact(self, hub: str, fact: told.Fact) -> None:
        self.facts.append((hub.partition(":")[0], fact))

    def beat(self) -> told.Beat:
        return told.Beat(0)

    def on_hubs(self, live_count: int) -> None:
        self.live = live_count

    def on_fatal(self) -> None:
        self.heard.append(("starts anew", []))

    def on_back(self) -> None:
        self.heard.append(("back", []))

    def on_fence(self, *, is_fenced: bool) -> None:
        self.is_fenced = is_fenced

    def seqs(self) -> list[int]:
        return [seq for what, seqs in self.heard if what != "acked" for seq in seqs]


@contextlib.contextmanager
def hub(url: str, name: str, ear: Ear) -> Iterator[PostgresStore]:
    store = PostgresStore(
        Address(url), clock=SystemClock(), readers=2, name=name, fatal=ear.on_fatal
    )
    store.listen(ear)
    store.cluster.hear(ear)
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return postgres.database(tmp_path)


def test_each_hub_hears_what_the_other_commits_at_once(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two) as second:
        enrolled(first)
        until(lambda: two.rosters, "the other hub goes by the roster")
        assert two.rosters[-1] == ROSTER
        until(lambda: first.cluster.publisher.told == second.cluster.publisher.told, "both know")
        first.send(draft(body="from one"), depth_limit=50)
        until(lambda: two.heard, "the other hub hears it")
        assert two.heard == one.heard == [("from one", [1])]
        assert two.boxes[BETA] == one.boxes[BETA]


def test_a_hub_publishes_what_came_before_its_own_batch_first(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two) as second:
        enrolled(first)
        for n in range(20):
            (first if n % 2 else second).send(draft(body=str(n)), depth_limit=50)
            ear = one if n % 2 else two
            assert ear.seqs() == list(range(1, n + 2)), "all before its own answer"
        until(lambda: len(one.heard) == len(two.heard) == 20, "both have heard all")
        assert one.heard == two.heard


def test_many_senders_at_both_hubs_make_one_order_without_a_gap(url: str) -> None:
    one, two, three = Ear(), Ear(), Ear(wanted=False)
    with (
        hub(url, "one", one) as first,
        hub(url, "two", two) as second,
        hub(url, "three", three),
    ):
        enrolled(first)

        def send(store: PostgresStore) -> None:
            for n in range(25):
                store.send(draft(to="gamma" if n % 3 else "beta", body=str(n)), depth_limit=50)

        for _ in range(4):
            greenlets.spawn(send, first)
            greenlets.spawn(send, second)
        until(lambda: all(len(ear.seqs()) == 200 for ear in (one, two, three)), "all is heard")
        assert one.heard == two.heard
        assert one.seqs() == three.seqs() == list(range(1, 201))
        assert {what for what, _ in three.heard} == {"passed"}
        until(lambda: one.boxes == two.boxes == three.boxes, "all count the same")
        assert one.boxes[BETA].unread + one.boxes[GAMMA].unread == 200


def test_acks_bring_receipts_and_counters_to_the_other_hub(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two) as second:
        enrolled(first)
        sent = first.send(draft(), depth_limit=50)
        first.ack_ids(BETA, [sent.message.id])
        until(lambda: ("acked", [1]) in two.heard, "the receipt is heard")
        assert two.boxes[BETA].unread == 0
        assert second.mailboxes() == first.mailboxes()


def test_facts_are_heard_by_all_in_one_order(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two) as second:
        for n in range(10):
            (first if n % 2 else second).cluster.tell(told.Muted(BETA, n + 1))

        def mutes(ear: Ear) -> list[told.Fact]:
            return [fact for _, fact in ear.facts if isinstance(fact, told.Muted)]

        until(lambda: len(mutes(one)) == len(mutes(two)) == 10, "all is heard")
        assert mutes(one) == mutes(two)


def test_every_kind_of_fact_survives_its_way(url: str) -> None:
    node = next(iter(ROSTER.tokens))
    spoken: list[told.Fact] = [
        told.LeaseTaken(node, 7, 1, "v", {BETA: True}, ("x",), "heartbeat"),
        told.LeaseReported(node, "v2", {BETA: False}, (), "follow-up"),
        told.LeaseDropped(node, 7),
        told.Muted(BETA, 5),
        told.Muted(BETA, 0),
        told.WakeAsked(BETA, node),
        told.ProbeAsked("p", node, (BETA,)),
        told.ProbeAnswered("p", BETA, None, 1.5),
        told.SessionOpened("a", "b", 3),
        told.SessionEnded("a"),
    ]
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two):
        for fact in spoken:
            first.cluster.tell(fact)

        def heard(ear: Ear) -> list[told.Fact]:
            return [f for _, f in ear.facts if not isinstance(f, (told.Beat, told.HubEnded))]

        until(lambda: len(heard(two)) == len(spoken), "all is heard")
        assert heard(one) == heard(two) == spoken


def test_a_pause_is_kept_and_told_as_a_whole_or_not_at_all(url: str) -> None:
    one = Ear()
    with hub(url, "one", one) as first, psycopg.connect(url, autocommit=True) as database:
        database.execute("ALTER TABLE mute ADD CONSTRAINT none CHECK (until_at < 0)")
        with pytest.raises((errors.BusError, psycopg.Error)):
            first.wake_book.put_pause(Pause(AGENT, BETA, states.PAUSED, 1))
        assert first.wake_book.pauses() == []
        assert not [fact for _, fact in one.facts if isinstance(fact, told.PausePut)]


def test_a_mute_that_a_hub_of_an_earlier_release_has_ended_is_over_after_a_restart(
    url: str,
) -> None:
    with hub(url, "one", Ear()) as first:
        first.wake_book.put_pause(Pause(AGENT, BETA, states.MUTED, 1, FAR_AT - 1))
        first.wake_book.put_pause(Pause(AGENT, GAMMA, states.PAUSED, 1))
        for agent in (BETA, GAMMA):  # as that hub does, which knows no pauses
            first.cluster.assure(told.Muted(agent, 0))
    with hub(url, "one", Ear()) as first:
        assert [one.name for one in first.wake_book.pauses()] == [GAMMA]


def test_a_roster_is_settled_once_every_live_hub_goes_by_it(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two):
        enrolled(first)
        first.cluster.settle()
        assert two.rosters == [ROSTER]


def test_a_hub_that_starts_knows_who_is_where_and_who_else_lives(url: str) -> None:
    one, two = Ear(), Ear()
    node = next(iter(ROSTER.tokens))
    with hub(url, "one", one) as first:
        first.cluster.tell(told.LeaseTaken(node, 7, 1))
        until(lambda: one.facts[-1][1] == told.LeaseTaken(node, 7, 1), "it is kept")
        with hub(url, "two", two) as second:
            assert ("one", told.LeaseTaken(node, 7, 1)) in two.facts
            assert two.live == 2
            until(lambda: one.live == 2, "the older one knows the newer one")
            assert [row.is_alive for row in second.cluster.hubs()] == [True, True]
            assert first.cluster.leads() != second.cluster.leads()
            second.cluster.end()
            until(lambda: one.live == 1, "it has said that it ends")


def test_a_link_signs_in_once_at_whichever_hub(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first, hub(url, "two", two) as second:
        until_ms = SystemClock().steady_ms() + 60_000
        first.cluster.keep_link("code", "token", until_ms)
        assert second.cluster.take_link("code") == "token"
        assert first.cluster.take_link("code") is None


def test_a_hub_that_has_missed_changes_starts_anew(url: str) -> None:
    one, two = Ear(), Ear()
    with hub(url, "one", one) as first:
        enrolled(first)
        with hub(url, "two", two) as second:
            second.cluster.close()  # it neither beats nor hears
            for n in range(3):
                first.send(draft(body=str(n)), depth_limit=50)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DELETE FROM change WHERE pos < (SELECT pos FROM head)")
            assert ("starts anew", []) not in two.heard
            second.send(draft(body="after"), depth_limit=50)
            assert ("starts anew", []) in two.heard
        assert ("starts anew", []) not in one.heard


def test_a_hub_that_stopped_in_the_middle_of_a_batch_does_not_keep_the_lock(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever waits for the lock shows it; it need not be a beat, of which none comes here."""
    monkeypatch.setattr(postgres_cluster, "BEAT_S", 3600.0)
    one = Ear()
    with hub(url, "one", one) as first:
        enrolled(first)
        with psycopg.connect(url) as stopped:
            stopped.execute("UPDATE head SET pos = pos")
            first.send(draft(body="goes on"), depth_limit=50)
            with pytest.raises(psycopg.OperationalError):
                stopped.execute("SELECT 1")
        assert one.heard == [("goes on", [1])]
