"""Sessions, audit, search and overviews of the store, on a real file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.model import AgentName, AuditEntry, Session
from agent_bus.store import desk
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, GAMMA, draft, enrolled, opened

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agent_bus.model import SearchPage


def bodies(page: SearchPage) -> list[str]:
    return [message.body for message, _ in page.messages]


def search(of: desk.Desk, **more: Any) -> SearchPage:
    asked: dict[str, Any] = dict.fromkeys(("agent", "text", "since", "until", "before"))
    return of.search(**{**asked, "limit": 10, **more})


def test_sessions_outlive_the_process_until_they_expire(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.desk.keep_session(Session("a" * 64, "t" * 64, 1000))
        store.desk.keep_session(Session("b" * 64, "t" * 64, 2000))
    with opened(tmp_path) as store:
        assert {one.sha256[0] for one in store.desk.sessions(steady=500)} == {"a", "b"}
        assert {one.sha256[0] for one in store.desk.sessions(steady=1000)} == {"b"}
        store.desk.drop_session("b" * 64, steady=0)
        assert [one.sha256[0] for one in store.desk.sessions(steady=0)] == ["a"]


def test_the_audit_is_newest_first_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "AUDIT_KEPT", 3)
    with opened(tmp_path) as store:
        for at in range(5):
            store.desk.log(AuditEntry(at, "::1", "wake", ALPHA, {"n": at}, "done"))
        assert [entry.at for entry in store.desk.audit(limit=10)] == [4, 3, 2]
        assert store.desk.audit(limit=1)[0] == AuditEntry(
            4, "::1", "wake", ALPHA, {"n": 4}, "done"
        )


def test_search_takes_agent_text_and_time_together(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        enrolled(store)
        times = []
        for number, to in enumerate(("beta", "gamma", "beta", "gamma", "beta")):
            clock.advance(60)
            times.append(clock.now_ms())
            store.send(draft(to, f"note {number} 50%_off"), hop_limit=50)
        found = search(store.desk)
        assert bodies(found) == [f"note {n} 50%_off" for n in (4, 3, 2, 1, 0)]
        assert found.before is None
        assert found.messages[0][1] == {BETA: False}
        assert len(bodies(search(store.desk, agent=GAMMA))) == 2
        assert len(bodies(search(store.desk, agent=ALPHA))) == 5
        assert bodies(search(store.desk, agent=AgentName("nobody"))) == []
        assert bodies(search(store.desk, text="NOTE 3")) == ["note 3 50%_off"]
        assert len(bodies(search(store.desk, text="0%_o"))) == 5
        assert bodies(search(store.desk, text="0__o")) == []
        middle = search(store.desk, since=times[1], until=times[3])
        assert bodies(middle) == ["note 2 50%_off", "note 1 50%_off"]


def test_pages_go_on_where_the_last_ended(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        enrolled(store)
        for number in range(7):
            to = ("beta", "gamma") if number % 2 else ("beta",)
            recipients = tuple(AgentName(name) for name in to)
            store.send(draft(body=str(number), recipients=recipients), hop_limit=50)
        for agent in (None, ALPHA, BETA):
            seen: list[str] = []
            before = None
            while True:
                page = search(store.desk, agent=agent, before=before, limit=3)
                seen += bodies(page)
                before = page.before
                if before is None:
                    break
            assert seen == list("6543210"), agent


def test_a_search_for_text_looks_through_a_bounded_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SEARCH_SEQS", 4)
    with opened(tmp_path) as store:
        enrolled(store)
        store.send(draft(body="needle"), hop_limit=50)
        for _ in range(9):
            store.send(draft(body="hay"), hop_limit=50)
        steps = 0
        page = search(store.desk, text="needle")
        while not page.messages:
            assert page.is_cut
            steps += 1
            page = search(store.desk, text="needle", before=page.before)
        assert steps == 2
        assert bodies(page) == ["needle"]


def test_flows_count_pairs_from_a_time_on(tmp_path: Path) -> None:
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        enrolled(store)
        store.send(draft("beta"), hop_limit=50)
        clock.advance(3600)
        now = clock.now_ms()
        for to in ("beta", "gamma", "gamma"):
            store.send(draft(to), hop_limit=50)
        found = {(flow.sender, flow.agent): flow.count for flow in store.desk.flows(since=now)}
        assert found == {(ALPHA, BETA): 1, (ALPHA, GAMMA): 2}
        everything = store.desk.flows(since=0)
        assert sum(flow.count for flow in everything) == 4
        assert store.desk.flows(since=now + 1) == []
        assert [one.agent for one in store.desk.crossings(head=4)] == [BETA, BETA, GAMMA, GAMMA]
        assert store.desk.last_wakes() == {}
