"""What the hub itself has to say, over a real store."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import gevent
import pytest

from agent_bus.core.model import BUS, OPERATOR
from agent_bus.core.slices import InboxSlice
from agent_bus.runtime.greenlets import Waiter
from tests.support.bus import bus_in
from tests.support.store import ALPHA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent_bus.app.assembly import Core
    from agent_bus.core.model import AgentName, Sent


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    with bus_in(tmp_path) as one:
        yield one


def say(core: Core, *, key: str, to: tuple[AgentName, ...] = (OPERATOR, ALPHA)) -> Sent:
    sent: Waiter[Sent] = Waiter()
    core.notices.send(
        to, subject="Held", body="A thread is held.", key=key, data={"n": 1}, then=sent.settle
    )
    return sent.wait()


def test_a_notice_is_a_message_from_the_bus(core: Core) -> None:
    say(core, key="storm-1")
    for agent in (OPERATOR, ALPHA):
        (got,) = core.store.inbox(InboxSlice(agent, limit=10))
        assert (got.message.sender, got.message.subject) == (BUS, "Held")
        assert json.loads(got.message.data_json or "") == {"n": 1}


def test_an_occasion_is_told_once(core: Core) -> None:
    first, again, other = say(core, key="a"), say(core, key="a"), say(core, key="b")
    assert again.replayed
    assert again.message.id == first.message.id
    assert other.message.id != first.message.id


def test_a_notice_that_cannot_be_stored_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with bus_in(tmp_path) as core:
        pass  # closed: nothing can be written
    with caplog.at_level(logging.ERROR):
        core.notices.send([OPERATOR], subject="Too late", body="x", key="k")
        gevent.sleep(0)
    assert "Too late" in caplog.text
