"""Sends that share a batch are answered as if each had been sent by itself."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import hypothesis
import pytest
from hypothesis import strategies as st

from agent_bus.core.model import OPERATOR, Draft, MessageId, Sent
from agent_bus.core.slices import InboxSlice
from agent_bus.core.task import Step
from tests.support.clock import FakeClock
from tests.support.store import ALPHA, BACKENDS, BETA, GAMMA, Told, enrolled, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_bus.core.model import AgentName
    from agent_bus.store.contract import Backend

EVERYBODY = (ALPHA, BETA, GAMMA, OPERATOR)
DEPTH_LIMIT = 2
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
IS_SHORT = hypothesis.settings().max_examples <= 100  # else the profile says how long: soak
EXAMPLES = {"postgres": 20, "sqlite": 40}
PARENTS = 7
"""Messages that are there before: see `prepared`; one more has an id that nobody knows."""
TASKS = (3, 4)
"""Which of them are tasks, of one thread."""


class Wish(NamedTuple):
    """A send, with its parent by number."""

    sender: AgentName
    recipients: tuple[AgentName, ...]
    body: str
    rank: int
    parent: int | None
    key: str | None
    expires_in_s: int | None


ANY = st.builds(
    Wish,
    sender=st.sampled_from(EVERYBODY),
    recipients=st.lists(st.sampled_from(EVERYBODY), max_size=3, unique=True).map(tuple),
    body=st.sampled_from(["x", "y"]),
    rank=st.integers(0, 2),
    parent=st.none() | st.integers(0, PARENTS),
    key=st.none() | st.sampled_from(["old", "k1", "k2"]),
    expires_in_s=st.none() | st.just(60),
)
ANSWERS = st.builds(
    Wish(BETA, (ALPHA,), "done", 2, 0, None, None)._replace, parent=st.sampled_from(TASKS)
)
KEYED = st.builds(
    Wish(ALPHA, (GAMMA,), "x", 2, None, "k1", None)._replace,
    body=st.sampled_from(["x", "y"]),
    key=st.sampled_from(["old", "k1"]),
)
WISHES = st.lists(ANY | ANSWERS | KEYED, min_size=1, max_size=12)


@dataclass
class Line:
    """One store, and the ids that it gave, which are all that may differ between two stores."""

    store: Backend
    told: Told
    parents: list[Sent]

    def drafts(self, wishes: list[Wish]) -> list[Draft]:
        ids = [*(sent.message.id for sent in self.parents), MessageId("0" * 26)]
        return [
            Draft(
                sender=wish.sender,
                recipients=wish.recipients,
                body=wish.body,
                rank=wish.rank,
                reply_to=None if wish.parent is None else ids[wish.parent],
                expires_in_s=wish.expires_in_s,
                idempotency_key=wish.key,
                payload_sha256=wish.body.encode() if wish.key else None,
            )
            for wish in wishes
        ]

    def together(self, wishes: list[Wish]) -> list[Any]:
        found: dict[int, Sent | Exception] = {}
        before = self.store.counts()["commits"]
        for n, draft in enumerate(self.drafts(wishes)):
            done = functools.partial(found.__setitem__, n)
            self.store.begin_send(draft, depth_limit=DEPTH_LIMIT, done=done)
        until(lambda: len(found) == len(wishes), "all are answered")
        assert self.store.counts()["commits"] == before + 1
        return self.seen([found[n] for n in range(len(wishes))])

    def one_by_one(self, wishes: list[Wish]) -> list[Any]:
        found: list[Sent | Exception] = []
        for draft in self.drafts(wishes):
            try:
                found.append(self.store.send(draft, depth_limit=DEPTH_LIMIT))
            except Exception as error:  # noqa: BLE001 - it is compared
                found.append(error)
        return self.seen(found)

    def seen(self, found: list[Sent | Exception]) -> list[Any]:
        """The answers, and all that can be seen afterwards, with numbers for ids."""
        numbers: dict[str, int] = {}
        for sent in [*self.parents, *found]:
            if isinstance(sent, Sent):
                numbers.setdefault(sent.message.id, len(numbers))
        boxes = {box.agent: box for box in self.told.mailboxes}
        stored = {box.agent: box for box in self.store.mailboxes()}
        assert boxes == {agent: stored[agent] for agent in boxes}
        told = [repr(sent.deliveries) for sent in self.told.sent if not sent.replayed]
        shown = [
            [repr((found, self._without_counters(found))) for found in self._inbox(agent)]
            for agent in EVERYBODY
        ]
        tasks = [repr(self.store.task(sent.message.id)) for sent in self.parents]
        answers = [repr(self._without_counters(one)) for one in found]
        return [
            _numbered(part, numbers)
            for part in (repr(answers), repr(told), repr(shown), repr(tasks), repr(stored))
        ]

    def _inbox(self, agent: AgentName) -> list[Any]:
        return list(self.store.inbox(InboxSlice(agent, unread=False, limit=100)))

    @staticmethod
    def _without_counters(found: Any) -> Any:
        """Counters come once per batch: they are compared at the end instead."""
        if isinstance(found, Sent):
            return (found.message, found.deliveries, found.replayed)
        return (type(found), vars(found)) if isinstance(found, Exception) else found


def _numbered(text: str, numbers: dict[str, int]) -> str:
    for message_id, number in numbers.items():
        text = text.replace(message_id, f"id{number}")
    return text


def prepared(store: Backend) -> list[Sent]:
    """Messages to reply to: a thread at its limit, open and ended tasks, a list, a known key."""

    def send(sender: AgentName, to: AgentName, *more: AgentName, **fields: Any) -> Sent:
        step = fields.pop("step", None)
        draft = Draft(sender, (to, *more), "x", **fields)
        return store.send(draft, depth_limit=DEPTH_LIMIT, step=step)

    first = send(ALPHA, BETA)
    second = send(BETA, ALPHA, reply_to=first.message.id)
    third = send(ALPHA, BETA, reply_to=second.message.id)
    asked = send(ALPHA, BETA, step=Step("open"))
    again = send(ALPHA, BETA, reply_to=asked.message.id, step=Step("open"))
    listed = send(GAMMA, ALPHA, BETA)
    known = send(ALPHA, GAMMA, idempotency_key="old", payload_sha256=b"x")
    return [first, second, third, asked, again, listed, known]


@contextlib.contextmanager
def line(name: str) -> Iterator[Line]:
    folder = Path(tempfile.mkdtemp(prefix="agent-bus-batches-", dir=MEMORY))
    told = Told()
    try:
        with BACKENDS[name](folder, clock=FakeClock(), listener=told) as store:
            enrolled(store)
            yield Line(store, told, prepared(store))
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_batch_does_what_its_sends_do_one_by_one(name: str) -> None:
    @hypothesis.given(wishes=WISHES)
    def check(wishes: list[Wish]) -> None:
        with line(name) as one, line(name) as other:
            assert one.together(wishes) == other.one_by_one(wishes)

    short = hypothesis.settings(max_examples=EXAMPLES[name], deadline=None)
    (short(check) if IS_SHORT else check)()
