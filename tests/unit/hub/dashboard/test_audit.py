"""An audit that cannot be written takes nobody's answer away, and is in the journal."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import apsw
import pytest

from agent_bus.bus.auth import Principal
from agent_bus.dashboard.audit import Audit
from agent_bus.http.call import Answer, Call
from tests.support.bus import bus_in
from tests.support.faults import faulty_disk

if TYPE_CHECKING:
    from pathlib import Path

    from agent_bus.app import Core


def call(node: str | None, body: bytes = b"{}") -> Call:
    return Call(principal=Principal(node, "0"), query={}, headers={}, body=body, address="::1")  # type: ignore[arg-type] # a plain name will do


def audit_of(core: Core) -> Audit:
    return Audit(records=core.records, clock=core.clock)


def test_on_a_full_disk_the_action_is_answered_and_told_to_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with faulty_disk() as disk, bus_in(tmp_path) as core:
        act = audit_of(core).of("api", "archive", lambda _: Answer(200, {"touched": 3}))
        disk.writes = itertools.repeat(apsw.FullError("no space left"))
        with caplog.at_level(logging.ERROR):
            assert act(call(None)).content == {"touched": 3}
        assert "The audit was not kept (disk_full)" in caplog.text
        assert "'touched': 3" in caplog.text
        disk.writes = iter(())
        assert core.records.audit(limit=9) == []
        act(call(None))
        (entry,) = core.records.audit(limit=9)
        assert (entry.way, entry.action, entry.detail) == ("api", "archive", {"touched": 3})


def test_a_nodes_call_costs_no_write(tmp_path: Path) -> None:
    with bus_in(tmp_path) as core:
        act = audit_of(core).of("api", "send", lambda _: Answer(201, {"id": "x"}))
        commits = core.vitals.counts()["commits"]
        act(call("n1"))
        assert core.vitals.counts()["commits"] == commits


@pytest.mark.parametrize("body", [b'{"agent": ["beta"]}', b'{"x": "' + b"9" * 3000 + b'"}', b"["])
def test_what_cannot_be_kept_in_2_kb_is_left_out(tmp_path: Path, body: bytes) -> None:
    with bus_in(tmp_path) as core:
        audit_of(core).of("page", "wake", lambda _: Answer(200))(call(None, body))
        (entry,) = core.records.audit(limit=9)
        assert (entry.way, entry.agent, entry.detail) == ("page", None, {})
