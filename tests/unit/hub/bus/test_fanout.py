"""What a commit means for the streams, over a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bus import admitted, bus_in, events, stream
from tests.support.store import ALPHA, BETA, draft

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path) as one:
        yield one


def test_a_commit_reaches_the_streams_of_the_recipients_node(core: Core) -> None:
    theirs, other = admitted(core, is_watcher=True), admitted(core, "n2", is_watcher=True)
    plain = admitted(core, token_sha256="p")
    core.bus.send(draft())
    assert [kind for kind, _ in events(theirs)] == ["message", "mailbox"]
    assert [kind for kind, _ in events(plain)] == ["message"]
    assert events(other) == []
    assert core.counters.head == 1


def test_counters_wait_for_hello_and_other_events_do_not(core: Core) -> None:
    opening = stream("n1", is_watcher=True, wants_receipts=True)
    core.broker.admit(opening)
    sent = core.bus.send(draft(sender=ALPHA))
    core.bus.ack(BETA, ids=[sent.message.id], up_to=None)
    assert [kind for kind, _ in events(opening)] == ["receipt"]


def test_a_mute_and_its_end_are_told_to_the_watcher(core: Core) -> None:
    watcher = admitted(core, is_watcher=True)
    core.pauses.put("agent", BETA, for_s=60, note=None, is_mute=True)
    core.pauses.end("agent", BETA)
    told = [(kind, fields["muted_until"] is None) for kind, fields in events(watcher)]
    assert told == [("mailbox", False), ("mailbox", True)]


def test_a_receipt_goes_to_the_streams_that_asked_for_it(core: Core) -> None:
    asked, silent = admitted(core, wants_receipts=True), admitted(core, token_sha256="p")
    sent = core.bus.send(draft("gamma", sender=ALPHA))
    core.bus.ack(sent.deliveries[0].agent, ids=[sent.message.id], up_to=None)
    assert [(kind, fields["id"]) for kind, fields in events(asked)] == [
        ("receipt", sent.message.id)
    ]
    assert events(silent) == []
