from __future__ import annotations

from typing import Any

from agent_bus_client.waker.outcome import Outcome, Status
from agent_bus_client.watcher.episode import Timing
from agent_bus_client.watcher.node import Node


def make(*agents: str) -> Node:
    return Node(agents or ("alpha", "beta", "gamma"), Timing(), stagger_s=0.25)


def hello(
    node: Node,
    now: float = 0.0,
    *,
    epoch: str = "e",
    head: int = 0,
    renewed: bool = False,
    **unfetched: int,
) -> None:
    mailboxes = [
        {"agent": name, "unfetched": count, "unread": count, "max_unfetched_seq": head or None}
        for name, count in unfetched.items()
    ]
    agents = ["alpha", "beta", "gamma"]
    facts = {"epoch": epoch, "head": head, "agents": agents, "mailboxes": mailboxes}
    node.hello(now, facts, renewed=renewed)


def message(agent: str, seq: int, *, id: str = "M1", **more: Any) -> dict[str, Any]:  # noqa: A002
    return {"to_agent": agent, "seq": seq, "id": id, "read_at": None, **more}


def due(node: Node, now: float) -> list[str]:
    return [name for name, _ in node.due(now)]


def events(node: Node) -> list[tuple[str, str]]:
    return [(report.agent, report.event) for report in node.take_reports()]


def test_a_message_wakes_its_agent_and_is_reported_as_received() -> None:
    node = make()
    hello(node)
    node.message(1.0, message("beta", 1))
    assert due(node, 1.0) == ["beta"]
    assert events(node) == [("beta", "received")]


def test_a_broadcast_is_staggered_and_separate_messages_are_not() -> None:
    node = make()
    hello(node)
    for seq, name in enumerate(("alpha", "beta", "gamma"), start=1):
        node.message(1.0, message(name, seq))
    assert due(node, 1.0) == ["alpha"]
    assert node.next_at() == 1.25
    assert due(node, 1.25) == ["beta"]
    assert due(node, 1.5) == ["gamma"]
    node = make()
    hello(node)
    node.message(1.0, message("alpha", 1, id="M1"))
    node.message(1.0, message("beta", 2, id="M2"))
    assert due(node, 1.0) == ["alpha", "beta"]


def test_replayed_messages_count_only_through_hello() -> None:
    node = make()
    hello(node, head=7, alpha=0)
    node.message(0.1, message("alpha", 7))
    assert due(node, 1.0) == []
    node.message(0.1, message("alpha", 8))
    assert due(node, 1.0) == ["alpha"]


def test_messages_that_were_read_already_are_ignored() -> None:
    node = make()
    hello(node)
    node.message(1.0, message("alpha", 1, read_at="2026-11-20T00:00:00.000Z"))
    assert due(node, 1.0) == []
    assert events(node) == []


def test_hello_wakes_every_agent_with_unfetched_mail_one_after_the_other() -> None:
    node = make()
    hello(node, head=5, alpha=2, gamma=1)
    assert due(node, 0.0) == ["alpha"]
    assert due(node, 0.25) == ["gamma"]
    assert node.unfetched() == 3


def woken(node: Node, now: float) -> list[str]:
    names = due(node, now)
    for name in names:
        node.finished(now, name, Outcome(Status.ACCEPTED))
    return names


def wakes_of_an_hour(*, renewed: bool) -> list[float]:
    """Return when alpha, which fetches nothing, is woken while streams live for 15 minutes."""
    node = make("alpha")
    hello(node, head=5, alpha=1)
    times = []
    for second in range(3600):
        if second and second % 900 == 0:
            hello(node, float(second), head=5, alpha=1, renewed=renewed)
        times += [float(second) for _ in woken(node, float(second))]
    return times


def test_a_renewed_stream_leaves_the_growing_pauses_alone_and_an_outage_wakes() -> None:
    calm, shaken = wakes_of_an_hour(renewed=True), wakes_of_an_hour(renewed=False)
    assert not {900.0, 1800.0, 2700.0} & set(calm)
    assert {900.0, 1800.0, 2700.0} <= set(shaken)


def test_a_renewed_stream_wakes_for_what_came_meanwhile() -> None:
    node = make()
    hello(node, head=5, alpha=1)
    assert woken(node, 0.0) == ["alpha"]
    hello(node, 20.0, head=7, alpha=2, beta=1, renewed=True)
    assert woken(node, 20.5) == ["alpha", "beta"]
    hello(node, 40.0, head=7, alpha=2, beta=1, renewed=True)
    assert "alpha" not in due(node, 40.0)


def test_another_epoch_is_no_renewal() -> None:
    node = make()
    hello(node, head=5, alpha=1)
    assert woken(node, 0.0) == ["alpha"]
    assert woken(node, 12.0) == ["alpha"]  # escalated
    hello(node, 30.0, head=5, alpha=1, renewed=True)
    assert due(node, 30.0) == []
    hello(node, 31.0, epoch="f", head=5, alpha=1, renewed=True)
    assert due(node, 31.0) == ["alpha"]


def test_the_gateways_return_wakes_the_named_or_all() -> None:
    node = make()
    hello(node, head=5, alpha=1, beta=1)
    for name in due(node, 1.0):
        node.finished(1.0, name, Outcome(Status.REJECTED, reason="x", fix="y"))
    assert due(node, 30.0) == []
    node.wake_again(30.0, ["beta"])
    assert due(node, 30.0) == ["beta"]
    node.wake_again(30.0)
    assert due(node, 31.0) == ["alpha"]


def test_a_new_epoch_forgets_the_old_numbers() -> None:
    node = make()
    hello(node, head=100, alpha=1)
    due(node, 0.0)
    node.finished(0.0, "alpha", Outcome(Status.ACCEPTED))
    node.mailbox(1.0, {"agent": "alpha", "unfetched": 0, "unread": 0, "max_unfetched_seq": None})
    hello(node, 20.0, epoch="f", head=3, alpha=0)
    node.message(21.0, message("alpha", 4))
    assert due(node, 21.0) == ["alpha"]


def test_agents_of_others_are_named_and_left_alone() -> None:
    node = make("alpha")
    hello(node, head=5, beta=2)
    assert node.unconfigured == ["beta", "gamma"]
    assert node.elsewhere == []
    node.message(1.0, message("beta", 6))
    node.mailbox(1.0, {"agent": "beta", "unfetched": 1, "unread": 1, "max_unfetched_seq": 6})
    assert due(node, 1.0) == []


def test_agents_that_the_hub_puts_elsewhere_are_named() -> None:
    node = make("alpha", "moved")
    hello(node)
    assert node.elsewhere == ["moved"]


def test_outcomes_become_reports_with_their_facts() -> None:
    node = make()
    hello(node, head=5, alpha=1)
    node.take_reports()
    due(node, 0.0)
    node.finished(
        0.1, "alpha", Outcome(Status.REJECTED, reason="gateway answered 401", fix="do it")
    )
    (report,) = node.take_reports()
    assert (report.event, report.reason, report.loud) == (
        "failed",
        "wake: gateway answered 401",
        "do it",
    )
    assert report.up_to_seq == 5
