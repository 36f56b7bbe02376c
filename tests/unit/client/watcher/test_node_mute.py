from __future__ import annotations

from typing import Any

from agent_bus_client.watcher.episode import Timing
from agent_bus_client.watcher.node import Node

UNTIL = "2026-01-31T12:00:00.000Z"


def mailbox(*, unfetched: int, seq: int, muted_until: str | None) -> dict[str, Any]:
    return {
        "agent": "alpha",
        "unfetched": unfetched,
        "unread": unfetched,
        "max_unfetched_seq": seq,
        "muted_until": muted_until,
    }


def muted_node() -> Node:
    node = Node(["alpha"], Timing(), stagger_s=0.25)
    facts = {"epoch": "e", "head": 1, "agents": ["alpha"]}
    node.hello(0.0, {**facts, "mailboxes": [mailbox(unfetched=1, seq=1, muted_until=UNTIL)]})
    return node


def test_a_muted_agent_is_not_woken_but_its_mail_is_reported() -> None:
    node = muted_node()
    node.message(1.0, {"to_agent": "alpha", "seq": 2, "id": "M", "read_at": None})
    node.mailbox(1.0, mailbox(unfetched=2, seq=2, muted_until=UNTIL))
    node.wake_again(2.0)
    assert node.due(5000.0) == []
    assert [report.event for report in node.take_reports()] == ["received"]


def test_a_held_delivery_wakes_nobody_and_its_release_does() -> None:
    node = Node(["alpha"], Timing(), stagger_s=0.25)
    node.hello(0.0, {"epoch": "e", "head": 0, "agents": ["alpha"], "mailboxes": []})
    held = {"to_agent": "alpha", "seq": 2, "id": "M", "read_at": None, "wake": "held"}
    node.message(1.0, held)
    node.mailbox(1.0, mailbox(unfetched=0, seq=0, muted_until=None))
    assert node.due(5000.0) == []
    assert [report.event for report in node.take_reports()] == ["received"]
    node.mailbox(6000.0, mailbox(unfetched=1, seq=2, muted_until=None))
    assert [name for name, _ in node.due(6000.0)] == ["alpha"]


def test_a_mute_in_the_middle_of_an_episode_ends_it() -> None:
    node = Node(["alpha"], Timing(), stagger_s=0.25)
    facts = {"epoch": "e", "head": 1, "agents": ["alpha"]}
    node.hello(0.0, {**facts, "mailboxes": [mailbox(unfetched=1, seq=1, muted_until=None)]})
    node.mailbox(0.0, mailbox(unfetched=1, seq=1, muted_until=UNTIL))
    assert node.due(5000.0) == []


def test_the_end_of_a_mute_wakes_for_what_has_gathered() -> None:
    node = muted_node()
    node.mailbox(9.0, mailbox(unfetched=2, seq=2, muted_until=None))
    assert [name for name, _ in node.due(9.0)] == ["alpha"]
