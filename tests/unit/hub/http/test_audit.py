"""An audit that cannot be written takes nobody's answer away, and is in the journal."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import apsw
from pydantic import BaseModel

from agent_bus.bus.auth import Principal
from agent_bus.http.audit import Audit
from agent_bus.http.call import Answer, Call
from agent_bus.http.endpoint import bare, with_body
from agent_bus.http.route import Action, Route
from tests.support.bus import bus_in
from tests.support.faults import faulty_disk

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from agent_bus.app.assembly import Core


def audit_of(core: Core) -> Audit:
    return Audit(records=core.records, clock=core.clock)


def archive(core: Core) -> Answer:
    """Archive as the operator, through the audit."""
    action = Action("archive", keeps=("touched",))
    route = Route("POST", "/archive", bare(lambda _: Answer(200, {"touched": 3})))
    call = Call(Principal(None, "0"), None, None, address="::1")
    return audit_of(core).carry_out(route, action, call, b"")


def test_on_a_full_disk_the_action_is_answered_and_told_to_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with faulty_disk() as disk, bus_in(tmp_path) as core:
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        with caplog.at_level(logging.ERROR):
            assert archive(core).content == {"touched": 3}
        assert "The audit was not kept (disk_full)" in caplog.text
        assert "'touched': 3" in caplog.text
        disk.writes = iter(())
        assert core.records.audit(limit=9) == []
        archive(core)
        (entry,) = core.records.audit(limit=9)
        assert (entry.way, entry.action, entry.detail) == ("api", "archive", {"touched": 3})


class Note(BaseModel):
    agent: str
    text: str


def test_what_takes_more_than_2_kb_is_left_out(tmp_path: Path) -> None:
    action = Action("note")
    endpoint = with_body(Note, lambda _: Answer(200))
    route = Route("POST", "/ui/note", endpoint, access="session_write")
    with bus_in(tmp_path) as core:
        for text in ("short", "9" * 3000):
            note = Note(agent="beta", text=text)
            call = Call(Principal(None, "0"), None, note)
            raw = note.model_dump_json().encode()
            audit_of(core).carry_out(route, action, call, raw)
        long, short = core.records.audit(limit=9)
    assert (short.way, short.agent, short.detail) == ("page", "beta", {"text": "short"})
    assert (long.way, long.agent, long.detail) == ("page", None, {})
