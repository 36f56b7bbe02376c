"""What a notification says of messages whose words are not to be trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_bus.channels import words
from agent_bus.core.model import OPERATOR, AgentName, Delivery, Message, MessageId, Seq
from agent_bus.store.outgoing import Waiting


def waiting(
    number: int = 1,
    *,
    body: str = "hello",
    subject: str | None = "news",
    rank: int = 1,
) -> Waiting:
    name = MessageId(f"01M8M18BC24STSCBS0YWYS{number:04}")
    message = Message(
        name, Seq(number), name, AgentName("alpha"), subject, body, None, rank, None, 0, 0, None
    )
    return Waiting(number, "message", 0, 0, 0, Delivery(Seq(number), OPERATOR, message))


def told(*events: Waiting, with_body: bool = True) -> words.Notification:
    return words.notification(
        events, with_body=with_body, link=lambda message: f"https://bus/messages/{message.id}"
    )


def test_one_message_is_told_with_its_sender_priority_and_link() -> None:
    said = told(waiting())
    assert said.title == "[high] alpha: news"
    assert said.text == "hello\nhttps://bus/messages/01M8M18BC24STSCBS0YWYS0001"
    bare = told(waiting(subject=None, rank=2), with_body=False)
    assert bare.title == "Message from alpha"
    assert bare.text.startswith("https://")


def test_several_are_a_list_with_the_urgent_ones_first() -> None:
    said = told(waiting(1, body="first"), waiting(2, body="second", rank=0))
    assert said.title == "2 messages for you, 1 urgent"
    assert said.text.splitlines()[:2] == ["- [urgent] alpha: news", "  second"]


def test_a_long_list_is_cut_and_counted() -> None:
    said = told(*(waiting(number, body="x" * 500) for number in range(100)))
    assert said.title == "100 messages for you"
    assert said.text.splitlines()[-1] == "- and 90 more"
    assert len(said.text.encode()) < 4096


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a\nOpen: https://evil.example", "a Open: https://evil.example"),
        ("\x00\x1b[31mred\u202e\u2028x", "[31mred x"),
        ("@here, @bob, c@example.org", "@\u2060here, @\u2060bob, c@example.org"),
        ("[here](https://evil.example)", "[here] (https://evil.example)"),
        ("<!channel> <b>`x`", "\u2039!channel\u203a \u2039b\u203a'x'"),
    ],
)
def test_nothing_that_a_sender_writes_is_markup_or_a_line_of_ours(said: str, shown: str) -> None:
    assert words.plain(said, 100) == shown


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=30))
def test_whatever_agents_write_lines_are_ours_and_the_size_is_bounded(
    messages: list[tuple[str, str]],
) -> None:
    said = told(
        *(waiting(n, subject=subject, body=body) for n, (subject, body) in enumerate(messages))
    )
    assert "\n" not in said.title
    assert len(said.title) <= 250
    assert len(said.text.encode()) < 4096
    assert not {"<", ">", "\r", "\x00"} & set(said.title + said.text)
    if len(messages) > 1:
        assert all(line.startswith(("- ", "  ")) for line in said.text.splitlines())
