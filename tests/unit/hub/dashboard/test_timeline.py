"""The hop where a delivery hangs, in words."""

from __future__ import annotations

from typing import Any

import pytest

from agent_bus.core.model import OPERATOR, AgentName, Delivery, Message, MessageId, NodeName, Seq
from agent_bus.dashboard.timeline import GRACE_MS, TURN_MS, Way, way

AT = 1_000_000
MESSAGE = Message(
    id=MessageId("0" * 26), first_seq=Seq(1), thread_id=MessageId("0" * 26),
    sender=AgentName("alpha"), subject=None, body="x", data_json=None, rank=2, reply_to=None,
    depth=0, created_at=AT, expires_at=None,
)  # fmt: skip
PUSHED = {"pushed_at": AT + 1}
RECEIVED = {**PUSHED, "received_at": AT + 5}
WOKEN = {**RECEIVED, "accepted_at": AT + 40}
FETCHED = {**WOKEN, "fetched_at": AT + 900, "fetch_count": 2}


def seen(stamps: dict[str, Any], *, after_ms: int, agent: str = "beta") -> Way:
    name = AgentName(agent)
    delivery = Delivery(Seq(1), name, MESSAGE, **stamps)
    node = None if name == OPERATOR else NodeName("n1")
    return way(delivery, node=node, status="online", now=AT + after_ms)


@pytest.mark.parametrize(
    ("stamps", "after_ms", "failed"),
    [
        ({}, GRACE_MS, None),
        ({}, GRACE_MS + 1, "pushed"),
        (PUSHED, GRACE_MS + 2, "received"),
        (RECEIVED, GRACE_MS, None),
        (RECEIVED, GRACE_MS + 6, "woken"),
        ({**RECEIVED, "wake_failed_at": AT + 9, "wake_failure": "503"}, 10, "woken"),
        (WOKEN, TURN_MS, None),
        (WOKEN, TURN_MS + 41, "fetched"),
        (FETCHED, TURN_MS + 901, "read"),
        ({**FETCHED, "read_at": AT + 1000}, 10 * TURN_MS, None),
        ({"fetched_at": AT + 10, "read_at": AT + 20}, 10 * TURN_MS, None),
        ({"expired_at": AT + 10}, 10 * TURN_MS, None),
    ],
)
def test_the_first_hop_missing_for_too_long_is_named(
    stamps: dict[str, Any], after_ms: int, failed: str | None
) -> None:
    found = seen(stamps, after_ms=after_ms)
    assert found.failed == failed
    assert found.words


def test_hops_that_were_not_needed_are_no_failures() -> None:
    found = seen({"fetched_at": AT + 10, "read_at": AT + 20}, after_ms=60)
    assert [hop.state for hop in found.hops] == [
        "done", "skipped", "skipped", "skipped", "done", "done",
    ]  # fmt: skip
    assert [hop.delta_ms for hop in found.hops] == [None, None, None, None, 10, 10]


def test_the_reason_of_a_refused_wake_is_told() -> None:
    stamps = {**RECEIVED, "wake_failed_at": AT + 9, "wake_failure": "401", "overdue_at": AT + 10}
    assert "did not take the wake: 401. It is overdue" in seen(stamps, after_ms=99).words


def test_the_operators_mailbox_has_no_hops_between() -> None:
    found = seen({}, after_ms=10 * TURN_MS, agent=OPERATOR)
    assert [hop.name for hop in found.hops] == ["stored", "read"]
    assert found.failed is None
