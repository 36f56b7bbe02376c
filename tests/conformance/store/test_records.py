"""What the dashboard keeps and asks of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import AgentName, Flow, Session, Stamp
from agent_bus.core.slices import SearchSlice, SweepBounds
from agent_bus.store import contract
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, draft, enrolled

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import pytest

    from agent_bus.core.model import SearchPage
    from agent_bus.store.contract import Backend, Records

    Opening = Callable[..., AbstractContextManager[Backend]]


def bodies(page: SearchPage) -> list[str]:
    return [found.message.body for found in page.messages]


def search(of: Records, **more: Any) -> SearchPage:
    return of.search(SearchSlice(**{"limit": 10, **more}))


def test_sessions_outlive_the_process_until_they_expire(opened: Opening) -> None:
    with opened() as store:
        store.records.keep_session(Session("a" * 64, "t" * 64, 1000))
        store.records.keep_session(Session("b" * 64, "t" * 64, 2000))
    with opened() as store:
        assert {one.sha256[0] for one in store.records.sessions(steady=500)} == {"a", "b"}
        assert {one.sha256[0] for one in store.records.sessions(steady=1000)} == {"b"}
        store.records.drop_session("b" * 64, steady=0)
        assert [one.sha256[0] for one in store.records.sessions(steady=0)] == ["a"]


def test_search_takes_agent_text_and_time_together(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        times = []
        for number, to in enumerate(("beta", "gamma", "beta", "gamma", "beta")):
            clock.advance(60)
            times.append(clock.now_ms())
            store.send(draft(to, f"note {number} 50%_off"), depth_limit=50)
        found = search(store.records)
        assert bodies(found) == [f"note {n} 50%_off" for n in (4, 3, 2, 1, 0)]
        assert found.before is None
        assert found.messages[0].recipients == {BETA: False}
        assert len(bodies(search(store.records, agent=GAMMA))) == 2
        assert len(bodies(search(store.records, agent=ALPHA))) == 5
        assert bodies(search(store.records, agent=AgentName("nobody"))) == []
        assert bodies(search(store.records, text="NOTE 3")) == ["note 3 50%_off"]
        assert len(bodies(search(store.records, text="0%_o"))) == 5
        assert bodies(search(store.records, text="0__o")) == []
        middle = search(store.records, since=times[1], until=times[3])
        assert bodies(middle) == ["note 2 50%_off", "note 1 50%_off"]


def test_pages_go_on_where_the_last_ended(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        for number in range(7):
            to = ("beta", "gamma") if number % 2 else ("beta",)
            recipients = tuple(AgentName(name) for name in to)
            store.send(draft(body=str(number), recipients=recipients), depth_limit=50)
        for agent in (None, ALPHA, BETA):
            seen: list[str] = []
            before = None
            while True:
                page = search(store.records, agent=agent, before=before, limit=3)
                seen += bodies(page)
                before = page.before
                if before is None:
                    break
            assert seen == list("6543210"), agent


def test_flows_count_pairs_from_a_time_on(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        store.send(draft("beta"), depth_limit=50)
        clock.advance(3600)
        now = clock.now_ms()
        for to in ("beta", "gamma", "gamma"):
            store.send(draft(to), depth_limit=50)
        found = {
            (flow.sender, flow.agent): flow.count for flow in store.records.flows(since=now).flows
        }
        assert found == {(ALPHA, BETA): 1, (ALPHA, GAMMA): 2}
        everything = store.records.flows(since=0)
        assert sum(flow.count for flow in everything.flows) == 4
        assert everything.since is None
        assert store.records.flows(since=now + 1).flows == []
        assert [one.agent for one in store.records.crossings(head=4)] == [BETA, BETA, GAMMA, GAMMA]
        assert store.last_wakes() == {}


def archived(store: Backend, *, agent: AgentName, bodies_of: list[str]) -> None:
    """Read what `agent` was sent under these texts, and move it to the archive."""
    page = search(store.records, agent=agent, limit=100)
    ids = [found.message.id for found in page.messages if found.message.body in bodies_of]
    store.ack_ids(agent, ids)
    moved = store.sweep(SweepBounds(retain_read_ms=0, retain_archive_ms=10**12, limit=100))
    assert moved == len(bodies_of)


def test_search_finds_what_is_archived_in_its_place(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        times = []
        for number in range(6):
            clock.advance(60)
            times.append(clock.now_ms())
            to = ("beta", "gamma") if number % 2 else ("beta",)
            recipients = tuple(AgentName(name) for name in to)
            store.send(draft(body=f"note {number}", recipients=recipients), depth_limit=50)
        # 0, 2 and 4 went to beta alone: read, they leave the others between them behind.
        archived(store, agent=BETA, bodies_of=["note 0", "note 2", "note 4"])
        found = search(store.records)
        assert bodies(found) == [f"note {n}" for n in (5, 4, 3, 2, 1, 0)]
        assert [one.is_archived for one in found.messages] == [False, True] * 3
        assert found.messages[1].recipients == {BETA: True}
        assert bodies(search(store.records, agent=BETA)) == bodies(found)
        assert bodies(search(store.records, agent=ALPHA)) == bodies(found)
        assert bodies(search(store.records, agent=GAMMA)) == ["note 5", "note 3", "note 1"]
        assert bodies(search(store.records, text="NOTE 2")) == ["note 2"]
        assert bodies(search(store.records, text="note 0", agent=BETA)) == ["note 0"]
        assert bodies(search(store.records, since=times[2], until=times[5])) == [
            "note 4", "note 3", "note 2"
        ]  # fmt: skip
        seen: list[str] = []
        before = None
        while before is not None or not seen:
            page = search(store.records, before=before, limit=2)
            seen += bodies(page)
            before = page.before
        assert seen == bodies(found)


def test_flows_and_last_wakes_count_what_is_archived(opened: Opening) -> None:
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        sent = store.send(draft("beta", "done"), depth_limit=50)
        seq = sent.deliveries[0].seq
        store.stamp([Stamp("accepted", BETA, seq, clock.now_ms(), up_to=True)])
        store.send(draft("beta", "open"), depth_limit=50)  # and the stamp before it is kept
        woken = store.last_wakes()
        assert woken == {BETA: clock.now_ms()}
        archived(store, agent=BETA, bodies_of=["done"])
        assert store.records.flows(since=0).flows == [Flow(ALPHA, BETA, 2)]
        assert store.last_wakes() == woken


def test_hops_of_a_host_are_those_of_its_agents(opened: Opening) -> None:
    with opened() as store:
        enrolled(store)
        for to in ("beta", "gamma", "beta"):
            store.send(draft(to), depth_limit=50)
        assert [one.agent for one in store.records.crossings_of([BETA])] == [BETA, BETA]
        assert len(store.records.crossings_of([BETA, GAMMA])) == 3
        assert store.records.crossings_of([]) == []


def test_hops_of_an_agent_are_its_newest_whatever_their_rank(
    opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "CROSSINGS", 3)
    clock = FakeClock()
    with opened(clock=clock) as store:
        enrolled(store)
        times = []
        for rank in (2, 0, 1, 0, 2):
            times.append(clock.now_ms())
            store.send(draft(rank=rank), depth_limit=5)
            clock.advance(1)
        assert [one.stored_at for one in store.records.crossings_of([BETA])] == times[2:]
        found = search(store.records, agent=BETA)
        assert [one.message.created_at for one in found.messages] == times[::-1]
