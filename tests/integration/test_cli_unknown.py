"""Messages that may or may not have arrived: this is said, and they keep their key."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus_client.hub.transport import HubClient
from agent_bus_client.outbox.draining import drain
from agent_bus_client.outbox.folder import Outbox
from tests.support.cli import told
from tests.support.node_side import HubWithNodes, Node, until
from tests.support.played_hub import PlayedHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SENT = {
    "id": MESSAGE,
    "thread_id": MESSAGE,
    "created_at": "2026-01-01T00:00:00.000Z",
    "recipients": [{"agent": "beta", "seq": 1, "reachability": "online"}],
}
SENDS = [("send", "beta", "x"), ("reply", MESSAGE, "x"), ("ask", "beta", "x")]


def node_at(folder: Path, url: str) -> Node:
    return Node(folder / "n3", "n3", url, [{"name": "delta"}])


def answering(*to_posts: tuple[int, Any] | None) -> Callable[[str, str, Any], Any]:
    """Answer posts in this order (the last answer repeats), and questions about messages."""
    left = list(to_posts)

    def answer(method: str, path: str, _body: Any) -> tuple[int, Any] | None:
        if method == "GET":
            page = {"messages": [], "unread": 0, "next_cursor": None}
            return 200, {"from_agent": "beta", "subject": None, **page}
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def test_an_answer_that_is_missing_is_asked_for_again_under_the_same_key(tmp_path: Path) -> None:
    with PlayedHub(answering(None, (201, SENT))) as played:
        said = told(node_at(tmp_path, played.url), "send", "beta", "x")
    assert said.startswith(f"sent {MESSAGE}")
    assert len(played.keys) == 2
    assert len(set(played.keys)) == 1
    assert played.bodies[0] == played.bodies[1]


@pytest.mark.parametrize("arguments", SENDS)
@pytest.mark.parametrize(
    "answer",
    [
        None,
        (502, {}),
        (504, {}),
        (500, {"code": "internal_error"}),
        (503, {"code": "commit_unknown"}),
    ],
)
def test_what_nobody_can_tell_is_told_as_that_and_keeps_its_key(
    tmp_path: Path, arguments: tuple[str, ...], answer: tuple[int, Any] | None
) -> None:
    with PlayedHub(answering(answer)) as played:
        delta = node_at(tmp_path, played.url)
        said = told(delta, *arguments)
    assert said.startswith("not known whether it arrived")
    assert "Kept" not in said
    assert "not sent" not in said
    (entry,) = Outbox(delta.folder / "outbox").waiting()
    assert entry.maybe_sent
    assert set(played.keys) == {entry.key}


def test_the_outcome_is_a_word_in_json(tmp_path: Path) -> None:
    with PlayedHub(answering(None)) as played:
        found = json.loads(told(node_at(tmp_path, played.url), "send", "beta", "x", "--json"))
    assert (found["outcome"], found["spooled"]) == ("unknown", True)
    away = node_at(tmp_path, played.url)  # nobody listens there any more
    assert json.loads(told(away, "send", "beta", "x", "--json"))["outcome"] == "not_sent"


def test_a_reply_whose_question_cannot_be_asked_for_was_not_sent(tmp_path: Path) -> None:
    with PlayedHub(lambda *_: None) as played:
        said = told(node_at(tmp_path, played.url), "reply", MESSAGE, "x")
    assert said.startswith("not sent yet")
    assert not played.bodies


def test_without_the_outbox_the_key_is_told(tmp_path: Path) -> None:
    with PlayedHub(answering(None)) as played:
        delta = node_at(tmp_path, played.url)
        said = told(delta, "send", "beta", "x", "--no-spool", code=69)
    assert "not known whether the message arrived" in said
    assert f"sent again with --key {played.keys[0]} it arrives once" in said
    assert not Outbox(delta.folder / "outbox").waiting()


def test_an_ack_without_an_answer_may_have_counted(tmp_path: Path) -> None:
    with PlayedHub(answering((201, SENT), None)) as played:
        delta = node_at(tmp_path, played.url)
        said = told(delta, "reply", MESSAGE, "x", "--ack")
        assert "not known whether acked" in said
        assert f"doing it again does no harm: agent-bus ack --as delta {MESSAGE}" in said
        alone = told(delta, "ack", MESSAGE, code=69)
    assert "it may have acked them" in alone
    assert "not acked" not in alone


def test_what_is_given_up_after_a_try_without_answer_may_have_arrived(tmp_path: Path) -> None:
    with PlayedHub(answering(None, (403, {"code": "forbidden", "detail": "no"}))) as played:
        delta = node_at(tmp_path, played.url)
        delta.outbox_file("k1", {"from": "delta", "to": "beta", "body": "x"})
        box, hub = Outbox(delta.folder / "outbox"), HubClient(played.url, lambda: "secret")
        assert drain(box, hub).waiting == 1
        assert box.waiting()[0].maybe_sent
        assert drain(box, hub).failed == 1
        assert box.failed()[0].maybe_sent
        said = delta.cli("inbox").stderr
    assert "it is not known whether a message that you sent has arrived: to beta: 'x': no" in said
    assert "was not delivered" not in said


def test_a_hub_that_was_stopped_with_the_request_in_hand_has_the_message_once(
    hub: HubWithNodes, node: Node, gamma: Node
) -> None:
    until(lambda: hub.agent("gamma"), what="the roster is there")
    hub.process.signal_group(signal.SIGSTOP)
    said = told(node, "send", "--as", "alpha", "gamma", "only once")
    hub.process.signal_group(signal.SIGCONT)
    assert said.startswith("not known whether it arrived")
    box = Outbox(node.folder / "outbox")
    assert [entry.maybe_sent for entry in box.waiting()] == [True]
    node.start()
    until(lambda: not box.waiting(), what="the watcher has asked")
    page = json.loads(told(gamma, "inbox", "--json"))
    assert [message["body"] for message in page["messages"]] == ["only once"]
