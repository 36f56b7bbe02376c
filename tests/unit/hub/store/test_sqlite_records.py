"""What bounds the dashboard's questions to SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_bus.core.model import AuditEntry, Flow
from agent_bus.core.slices import SearchSlice
from agent_bus.store import contract
from agent_bus.store import search as search_of_store
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BETA, draft, enrolled, opened

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agent_bus.core.model import SearchPage
    from agent_bus.store.sqlite.records import SqliteRecords


def bodies(page: SearchPage) -> list[str]:
    return [found.message.body for found in page.messages]


def search(of: SqliteRecords, **more: Any) -> SearchPage:
    return of.search(SearchSlice(**{"limit": 10, **more}))


def test_the_audit_is_newest_first_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "AUDIT_KEPT", 3)
    with opened(tmp_path) as store:
        for at in range(5):
            store.records.log(AuditEntry(at, "::1", "api", "wake", ALPHA, {"n": at}, "done"))
        assert [entry.at for entry in store.records.audit(limit=10)] == [4, 3, 2]
        assert store.records.audit(limit=1)[0] == AuditEntry(
            4, "::1", "api", "wake", ALPHA, {"n": 4}, "done"
        )


def test_a_search_for_text_looks_through_a_bounded_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_of_store, "SEARCH_SEQS", 4)
    with opened(tmp_path) as store:
        enrolled(store)
        store.send(draft(body="needle"), depth_limit=50)
        for _ in range(9):
            store.send(draft(body="hay"), depth_limit=50)
        steps = 0
        page = search(store.records, text="needle")
        while not page.messages:
            assert page.is_cut
            steps += 1
            page = search(store.records, text="needle", before=page.before)
        assert steps == 2
        assert bodies(page) == ["needle"]


def test_a_picture_of_too_much_says_from_when_on_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "FLOW_SEQS", 2)
    clock = FakeClock()
    with opened(tmp_path, clock=clock) as store:
        enrolled(store)
        for _ in range(5):
            clock.advance(60)
            store.send(draft("beta"), depth_limit=50)
        found = store.records.flows(since=0)
        assert found.flows == [Flow(ALPHA, BETA, 3)]
        assert found.since == clock.now_ms() - 2 * 60_000
