"""Webhooks out of a real hub into a real receiver, which verifies with the official library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hub import running
from tests.support.receiver import Receiver, configured, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def test_a_message_comes_signed_with_a_stable_id(tmp_path: Path, receiver: Receiver) -> None:
    with running(tmp_path, webhooks_file=configured(tmp_path, receiver)) as hub:
        sent = hub.client().send("hello", to="gamma", **{"from": "alpha"}, subject="news")
        (got,) = receiver.wait_for(1)
        assert got.id == f"ops_message_{sent['id']}_gamma"
        assert got.content["type"] == "message.stored"
        assert got.content["timestamp"] == sent["created_at"]
        assert got.content["data"] == {
            "id": sent["id"],
            "thread_id": sent["thread_id"],
            "from_agent": "alpha",
            "to_agent": "gamma",
            "priority": "normal",
            "reply_to": None,
            "created_at": sent["created_at"],
            "subject": "news",
            "body": "hello",
            "data": None,
        }
        assert not receiver.faults
