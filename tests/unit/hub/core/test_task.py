from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.support.dice  # noqa: F401 - sets property tests up
from agent_bus.core import task
from agent_bus.core.task import OpenTask, answered

OLD, NEW = OpenTask(1, "old", "asker", "agent"), OpenTask(2, "new", "asker", "agent")
OTHER = OpenTask(3, "other", "asker", "someone")


def found(
    *open_ones: OpenTask, sender: str = "agent", to: str = "asker", **more: str | None
) -> str:
    chain: dict[str, str | None] = {"reply_to": None, "replied_to": None, **more}
    one = answered(
        open_ones, sender=sender, recipients=[to, "bystander"], operator="operator", **chain
    )
    return "" if one is None else one.id


@pytest.mark.parametrize(
    ("reply_to", "replied_to", "expected"),
    [
        ("old", None, "old"),
        ("new", "old", "new"),
        ("an addition", "new", "new"),
        ("something", "else", "old"),
    ],
)
def test_a_reply_answers_what_it_replies_to_and_else_the_oldest(
    reply_to: str, replied_to: str | None, expected: str
) -> None:
    assert found(OLD, NEW, reply_to=reply_to, replied_to=replied_to) == expected


def test_others_answer_nothing() -> None:
    assert found(OLD, sender="someone", reply_to="old") == ""
    assert found(OLD, to="third", reply_to="old") == ""
    assert found(OTHER, reply_to="other") == ""


def test_the_operator_answers_directly_or_not_at_all() -> None:
    assert found(OLD, NEW, sender="operator", reply_to="new") == "new"
    assert found(OLD, NEW, sender="operator", reply_to="else", replied_to="new") == ""


NAMES = st.sampled_from(["asker", "agent", "third", "operator"])
IDS = st.sampled_from(["1", "2", "3", "x"])


@given(
    open_ones=st.lists(
        st.builds(OpenTask, pk=st.integers(1, 3), id=IDS, owner=NAMES, agent=NAMES), max_size=3
    ),
    sender=NAMES,
    recipients=st.lists(NAMES, min_size=1, max_size=2),
    reply_to=IDS,
    replied_to=st.none() | IDS,
)
def test_what_is_answered_is_the_recipients_and_asked_of_the_sender(
    open_ones: list[OpenTask],
    sender: str,
    recipients: list[str],
    reply_to: str,
    replied_to: str | None,
) -> None:
    one = answered(
        open_ones,
        sender=sender,
        recipients=recipients,
        reply_to=reply_to,
        replied_to=replied_to,
        operator="operator",
    )
    if one is not None:
        assert one in open_ones
        assert one.owner in recipients
        assert one.agent == sender or (sender == "operator" and one.id == reply_to)


def test_a_step_needs_an_open_task_of_its_own() -> None:
    task.require_open(("asker", "agent", "open"), owner="asker", recipients=["agent"])
    for known in (None, ("third", "agent", "open"), ("asker", "third", "open")):
        with pytest.raises(task.UnknownTaskError):
            task.require_open(known, owner="asker", recipients=["agent"])
    with pytest.raises(task.TaskEndedError) as refused:
        task.require_open(("asker", "agent", "failed"), owner="asker", recipients=["agent"])
    assert refused.value.state == "failed"
