"""The send that blocks nobody: each caller is answered once, in the loop, behind the listener."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from agent_bus.core import errors
from agent_bus.core.model import Sent
from tests.support.store import ALPHA, Told, draft, enrolled, inbox, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent_bus.core.model import Draft
    from agent_bus.store.contract import Backend

    Opening = Callable[..., AbstractContextManager[Backend]]

LOST = "0" * 26


@dataclass
class Answers(Told):
    """What the listener and the callers were told, in one order; callers by their number."""

    order: list[str] = field(default_factory=list)
    found: dict[int, list[Sent | Exception]] = field(default_factory=dict)

    def on_sent(self, sent: Sent) -> None:
        self.order.append(f"told {sent.message.body}")

    def begin(self, store: Backend, *drafts: Draft) -> None:
        for one in drafts:
            self._begin(store, one)

    def _begin(self, store: Backend, one: Draft) -> None:
        found = self.found.setdefault(len(self.found), [])

        def done(answer: Sent | Exception) -> None:
            found.append(answer)
            self.order.append(f"done {one.body}")
            if one.body == "poison":
                raise ValueError("a caller that fails")

        store.begin_send(one, depth_limit=5, done=done)

    def wait(self) -> list[Any]:
        """Every caller's answer, once each has its one."""
        until(lambda: all(self.found.values()), "everyone is answered")
        assert [len(one) for one in self.found.values()] == [1] * len(self.found)
        return [one[0] for one in self.found.values()]


def test_it_returns_at_once_and_answers_behind_the_listener(opened: Opening) -> None:
    answers = Answers()
    with opened(listener=answers) as store:
        enrolled(store)
        before = store.counts()["commits"]
        answers.begin(store, *[draft(body=str(n)) for n in range(5)])
        assert not any(answers.found.values())
        sent = answers.wait()
        assert store.counts()["commits"] == before + 1  # what one turn begins is one batch
        assert answers.order == [f"{word} {n}" for word in ("told", "done") for n in range(5)]
        assert [one.message.body for one in sent] == inbox(store, "beta") == list("01234")
        assert [one.deliveries[0].seq for one in sent] == [1, 2, 3, 4, 5]
        assert store.message(sent[3].message.id) == (
            sent[3].message,
            list(sent[3].deliveries),
        )


def test_an_error_is_the_answer_of_its_caller_alone(opened: Opening) -> None:
    answers = Answers()
    with opened(listener=answers) as store:
        enrolled(store)
        answers.begin(
            store,
            draft(body="a"),
            draft(body="nobody", recipients=()),
            draft(body="b", idempotency_key="k", payload_sha256=b"1"),
            draft(body="poison"),
            draft(body="lost", reply_to=LOST),
            draft(body="other", idempotency_key="k", payload_sha256=b"2"),
            draft(body="b", idempotency_key="k", payload_sha256=b"1"),
            draft(body="c"),
        )
        found = answers.wait()
        assert [type(one) for one in found] == [
            Sent,
            errors.NoRecipientError,
            Sent,
            Sent,
            errors.UnknownMessageError,
            errors.IdempotencyConflictError,
            Sent,
            Sent,
        ]
        assert found[6].replayed
        assert found[6].message == found[2].message
        assert sorted(inbox(store, "beta")) == ["a", "b", "c", "poison"]


def test_what_was_begun_is_stored_when_the_store_closes_and_nothing_after(opened: Opening) -> None:
    answers = Answers()
    with opened() as store:
        enrolled(store)
        answers.begin(store, draft(body="in time"))
    answers.begin(store, draft(body="late"))
    found = answers.wait()
    assert found[0].message.sender == ALPHA
    assert isinstance(found[1], errors.NotReadyError)
    with pytest.raises(errors.NotReadyError):
        store.send(draft(body="later"), depth_limit=5)
    with opened() as store:
        assert inbox(store, "beta") == ["in time"]
