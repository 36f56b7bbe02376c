"""A real store against a plain-Python model, driven by the same commands in any order."""

from __future__ import annotations

import functools
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import stateful as sf
from hypothesis import strategies as st

from agent_bus.core import errors
from agent_bus.core.model import OPERATOR, AgentName, Draft, MessageId, NodeName, Roster, Seq
from agent_bus.core.slices import HistorySlice, InboxSlice, ReplaySlice, SweepBounds
from tests.support.clock import DAY_S, FakeClock
from tests.support.store import BACKENDS, Told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.store import Opener

AGENTS = tuple(AgentName(name) for name in ("ada", "bob", "cyd", "dan"))
NODES = (NodeName("n1"), NodeName("n2"))
EVERYBODY = (*AGENTS, OPERATOR)
DEPTH_LIMIT = 3
READ_DAYS, ARCHIVE_DAYS = 7, 30
PAGE = 3
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""The model has no disk: syncing to a real one would be most of the test's time."""


@dataclass
class Row:
    """A delivery as the model knows it."""

    seq: int
    agent: AgentName
    fetches: int = 0
    read: bool = False
    expired: bool = False

    @property
    def is_open(self) -> bool:
        return not self.read and not self.expired


@dataclass
class Note:
    """A message as the model knows it; all times in seconds of the model's own clock."""

    id: MessageId
    thread: MessageId
    sender: AgentName
    body: str
    rank: int
    depth: int
    expires: float | None
    rows: list[Row]
    closed: float | None = None
    archived: float | None = None

    @property
    def pk(self) -> int:
        return self.rows[0].seq


@dataclass
class Model:
    """What the store should hold."""

    now: float = 0.0
    head: int = 0
    notes: list[Note] = field(default_factory=list)
    keys: dict[tuple[AgentName, str], tuple[bytes, MessageId, float]] = field(default_factory=dict)
    roster: dict[AgentName, NodeName] = field(default_factory=dict)
    known: set[AgentName] = field(default_factory=lambda: {OPERATOR})

    def live(self) -> list[Note]:
        return [n for n in self.notes if n.archived is None]

    def rows_of(self, agent: AgentName) -> list[tuple[Note, Row]]:
        return [(n, r) for n in self.live() for r in n.rows if r.agent == agent]

    def is_fresh(self, note: Note) -> bool:
        return note.expires is None or note.expires > self.now

    def inbox(self, agent: AgentName, *, unread: bool) -> list[int]:
        found = [
            (n.rank, r.seq)
            for n, r in self.rows_of(agent)
            if self.is_fresh(n) and (r.is_open or not unread)
        ]
        return [seq for _, seq in sorted(found)]

    def settle(self, note: Note) -> None:
        if note.closed is None and not any(r.is_open for r in note.rows):
            note.closed = self.now

    def sweep(self) -> None:
        for note in self.live():
            if not self.is_fresh(note) and any(r.is_open for r in note.rows):
                for row in note.rows:
                    row.expired = row.expired or row.is_open
                self.settle(note)
        for note in self.live():
            if note.closed is not None and note.closed <= self.now - READ_DAYS * DAY_S:
                note.archived = self.now
        self.notes = [
            n
            for n in self.notes
            if n.archived is None or n.archived > self.now - ARCHIVE_DAYS * DAY_S
        ]


class StoreMachine(sf.RuleBasedStateMachine):
    """Each rule does one thing to both; the invariants compare what can be seen of both."""

    sent = sf.Bundle("sent")

    def __init__(self, open_backend: Opener) -> None:
        super().__init__()
        self.open_backend = open_backend
        self.folder = Path(tempfile.mkdtemp(prefix="agent-bus-model-", dir=MEMORY))
        self.clock = FakeClock()
        self.told = Told()
        self.context = self.open_backend(self.folder, clock=self.clock, listener=self.told)
        self.store = self.context.__enter__()
        self.model = Model()
        self._put_roster(dict.fromkeys(AGENTS, NODES[0]))

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.folder)

    def _put_roster(self, agents: dict[AgentName, NodeName]) -> Any:
        self.model.roster = agents
        self.model.known.update(agents)
        return self.store.put_roster(Roster(agents=agents), force=True, dry_run=False)

    @sf.rule(
        target=sent,
        sender=st.sampled_from(EVERYBODY),
        to=st.lists(st.sampled_from(EVERYBODY), min_size=1, unique=True),
        rank=st.integers(0, 2),
        key=st.none() | st.sampled_from(["k1", "k2"]),
        body=st.sampled_from(["x", "y"]),
        expires_in_s=st.none() | st.sampled_from([60, 86_400 * 2]),
    )
    def send(self, sender: AgentName, to: list[AgentName], **fields: Any) -> Any:
        return self._send(sender, to, None, **fields)

    @sf.rule(
        target=sent,
        sender=st.sampled_from(EVERYBODY),
        parent=sent,
        rank=st.integers(0, 2),
        to=st.lists(st.sampled_from(EVERYBODY), min_size=1, unique=True),
    )
    def reply(self, sender: AgentName, parent: Any, rank: int, to: list[AgentName]) -> Any:
        return self._send(sender, to, parent, rank=rank, key=None, body="r", expires_in_s=None)

    def _send(
        self, sender: AgentName, to: list[AgentName], parent: Any, *, rank: int, key: str | None,
        body: str, expires_in_s: int | None,
    ) -> Any:  # fmt: skip
        model = self.model
        payload = repr((to, rank, body, expires_in_s)).encode()
        draft = Draft(
            sender=sender, recipients=tuple(to), body=body, rank=rank, reply_to=parent,
            expires_in_s=expires_in_s, idempotency_key=key,
            payload_sha256=payload if key else None,
        )  # fmt: skip
        known = model.keys.get((sender, key or ""))
        if key and known and known[2] > model.now - DAY_S:
            if known[0] != payload:
                with pytest.raises(errors.IdempotencyConflictError):
                    self.store.send(draft, depth_limit=DEPTH_LIMIT)
                return sf.multiple()
            again = self.store.send(draft, depth_limit=DEPTH_LIMIT)
            assert again.replayed
            assert again.message.id == known[1]
            return sf.multiple()
        note = next((n for n in model.notes if n.id == parent), None)
        depth = 0
        if parent is not None:
            involved = note and (
                sender in {note.sender, OPERATOR} or any(r.agent == sender for r in note.rows)
            )
            if note is None or not involved:
                with pytest.raises(errors.UnknownMessageError):
                    self.store.send(draft, depth_limit=DEPTH_LIMIT)
                return sf.multiple()
            depth = 0 if sender == OPERATOR else note.depth + 1
            if depth > DEPTH_LIMIT:
                with pytest.raises(errors.ThreadBudgetError):
                    self.store.send(draft, depth_limit=DEPTH_LIMIT)
                return sf.multiple()
        stored = self.store.send(draft, depth_limit=DEPTH_LIMIT)
        seqs = [d.seq for d in stored.deliveries]
        assert seqs == list(range(model.head + 1, model.head + 1 + len(to)))
        model.head = seqs[-1]
        message_id = stored.message.id
        assert stored.message.depth == depth
        assert stored.message.thread_id == (note.thread if note else message_id)
        model.notes.append(
            Note(
                id=message_id, thread=stored.message.thread_id, sender=sender, body=body,
                rank=rank, depth=depth, rows=[Row(s, a) for s, a in zip(seqs, to, strict=True)],
                expires=None if expires_in_s is None else model.now + expires_in_s,
            )
        )  # fmt: skip
        if key:
            model.keys[sender, key] = (payload, message_id, model.now)
        return message_id

    @sf.rule(agent=st.sampled_from(EVERYBODY), limit=st.integers(1, 5), unread=st.booleans())
    def fetch(self, agent: AgentName, limit: int, *, unread: bool) -> None:
        wanted = self.model.inbox(agent, unread=unread)[:limit]
        page = self._inbox(agent, unread=unread, limit=limit)
        assert [d.seq for d in page] == wanted
        before = self.store.fetch(agent, [d.seq for d in page]).before
        for _, row in self.model.rows_of(agent):
            if row.seq in wanted:
                assert before[Seq(row.seq)][1] == row.fetches
                assert (before[Seq(row.seq)][0] is None) == (row.fetches == 0)
                row.fetches += 1

    @sf.rule(agent=st.sampled_from(EVERYBODY), ids=st.lists(sent, min_size=1, max_size=4))
    def ack(self, agent: AgentName, ids: list[MessageId]) -> None:
        acked, already, unknown = [], [], []
        for message_id in dict.fromkeys(ids):
            note = next((n for n in self.model.notes if n.id == message_id), None)
            row = next((r for r in note.rows if r.agent == agent), None) if note else None
            if note is None or row is None:
                unknown.append(message_id)
            elif row.read or note.archived is not None:
                already.append(message_id)
            else:
                acked.append(message_id)
                row.read = True
                self.model.settle(note)
        found = self.store.ack_ids(agent, ids)
        assert list(found.acked) == acked
        assert list(found.already_acked) == already
        assert list(found.unknown) == unknown

    @sf.rule(agent=st.sampled_from(EVERYBODY), count=st.integers(1, 3))
    def read(self, agent: AgentName, count: int) -> None:
        seqs = self.model.inbox(agent, unread=True)[:count]
        self.ack(
            agent, [n.id for seq in seqs for n, r in self.model.rows_of(agent) if r.seq == seq]
        )

    @sf.rule(agent=st.sampled_from(EVERYBODY), last=sent)
    def ack_up_to(self, agent: AgentName, last: MessageId) -> None:
        everything = [(n, r) for n in self.model.notes for r in n.rows if r.agent == agent]
        until = next((r.seq for n, r in everything if n.id == last), None)
        found = self.store.ack_up_to(agent, last)
        if until is None:
            assert found.unknown == (last,)
            return
        shown = [
            (n.rank, r.seq, n, r)
            for n, r in self.model.rows_of(agent)
            if r.is_open and r.fetches and r.seq <= until
        ]
        shown.sort(key=lambda one: one[:2])
        assert list(found.acked) == [n.id for _, _, n, _ in shown]
        for _, _, note, row in shown:
            row.read = True
            self.model.settle(note)

    @sf.rule(seconds=st.sampled_from([1.0, 61.0, DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @sf.rule(days=st.sampled_from([1, 8, 31]))
    def days_pass_with_sweeps(self, days: int) -> None:
        self.time_passes(days * DAY_S)
        self.sweep(200)

    @sf.rule(seconds=st.sampled_from([-DAY_S, DAY_S, -400 * DAY_S, 400 * DAY_S]))
    def somebody_sets_the_clock(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @sf.rule(limit=st.sampled_from([2, 200]))
    def sweep(self, limit: int) -> None:
        rounds = 0
        while True:
            rounds += 1
            bounds = SweepBounds(
                retain_read_ms=int(READ_DAYS * DAY_S * 1000),
                retain_archive_ms=int(ARCHIVE_DAYS * DAY_S * 1000),
                limit=limit,
            )
            touched = self.store.sweep(bounds)
            if touched < limit:
                break
            assert rounds < 200
        self.model.sweep()

    @sf.rule(agents=st.dictionaries(st.sampled_from(AGENTS), st.sampled_from(NODES)))
    def put_roster(self, agents: dict[AgentName, NodeName]) -> None:
        old, known = dict(self.model.roster), set(self.model.known)
        change = self._put_roster(agents)
        new = set(agents) - set(old)
        assert set(change.registered) == new - known
        assert set(change.revived) == new & known
        assert set(change.retired) == set(old) - set(agents)
        assert set(change.moved) == {a for a in set(agents) & set(old) if agents[a] != old[a]}
        roster, listed = self.store.roster()
        assert roster.agents == agents
        assert {a.name for a in listed} == self.model.known

    @sf.rule()
    def restart(self) -> None:
        self.context.__exit__(None, None, None)
        self.context = self.open_backend(self.folder, clock=self.clock, listener=self.told)
        self.store = self.context.__enter__()

    @sf.invariant()
    def counters_are_true(self) -> None:
        boxes = {box.agent: box for box in self.store.mailboxes()}
        told = {box.agent: box for box in self.told.mailboxes}
        for agent in self.model.known:
            still = [r for _, r in self.model.rows_of(agent) if r.is_open]
            assert boxes[agent].unread == len(still)
            assert boxes[agent].unfetched == sum(1 for r in still if not r.fetches)
            assert told.get(agent, boxes[agent]) == boxes[agent]
        assert self.store.head() == self.model.head

    @sf.invariant()
    def inboxes_are_whole_and_in_order(self) -> None:
        for agent in self.model.known:
            for unread in (True, False):
                wanted = self.model.inbox(agent, unread=unread)
                assert [d.seq for d in self._pages_of_inbox(agent, unread=unread)] == wanted

    @sf.invariant()
    def replays_are_whole_and_in_order(self) -> None:
        for unread in (True, False):
            wanted = sorted(
                r.seq
                for agent in AGENTS
                for n, r in self.model.rows_of(agent)
                if self.model.is_fresh(n) and (r.is_open or not unread)
            )
            seen: list[int] = []
            while True:
                page = self.store.replay(
                    ReplaySlice(
                        AGENTS, after=seen[-1] if seen else 0, until=self.model.head,
                        unread=unread, limit=PAGE,
                    )
                )  # fmt: skip
                seen += [d.seq for d in page]
                if len(page) < PAGE:
                    break
            assert seen == wanted
        lows = [r.seq for agent in AGENTS for _, r in self.model.rows_of(agent) if r.is_open]
        assert self.store.lowest_unread(AGENTS) == min(lows, default=None)

    @sf.invariant()
    def history_is_whole_in_both_directions(self) -> None:
        for archived in (False, True):
            notes = [n for n in self.model.notes if (n.archived is not None) == archived]
            for agent in (None, AGENTS[0], OPERATOR):
                mine = [
                    n.pk
                    for n in notes
                    if agent is None or agent == n.sender or any(r.agent == agent for r in n.rows)
                ]
                assert self._history(agent, archived=archived, ascending=True) == mine
                assert self._history(agent, archived=archived, ascending=False) == mine[::-1]
            pair = [n.pk for n in notes if self._between(n, AGENTS[0], AGENTS[1])]
            found = self._history(AGENTS[0], archived=archived, ascending=True, partner=AGENTS[1])
            assert found == pair

    @staticmethod
    def _between(note: Note, one: AgentName, other: AgentName) -> bool:
        readers = {r.agent for r in note.rows}
        return (note.sender == one and other in readers) or (
            note.sender == other and one in readers
        )

    def _inbox(
        self, agent: AgentName, *, unread: bool, limit: int, after: tuple[int, int] = (-1, 0)
    ) -> Any:
        return self.store.inbox(InboxSlice(agent, unread=unread, after=after, limit=limit))

    def _pages_of_inbox(self, agent: AgentName, *, unread: bool) -> Iterable[Any]:
        after = (-1, 0)
        while True:
            page = self._inbox(agent, unread=unread, limit=PAGE, after=after)
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].message.rank, page[-1].seq)

    def _history(
        self, agent: AgentName | None, *, archived: bool, ascending: bool,
        partner: AgentName | None = None,
    ) -> list[int]:  # fmt: skip
        seen: list[int] = []
        while True:
            page = self.store.history(
                HistorySlice(
                    agent=agent, partner=partner, archived=archived,
                    after=seen[-1] if seen else None, ascending=ascending, limit=PAGE,
                )
            )  # fmt: skip
            seen += [int(m.first_seq) for m, _ in page]
            if len(page) < PAGE:
                return seen


IS_SHORT = hypothesis.settings().max_examples <= 100  # else the profile says how long: soak
EXAMPLES = {"postgres": 6, "sqlite": 20}
"""In a short run: a step on PostgreSQL takes three times as long."""


@pytest.mark.parametrize("name", BACKENDS)
def test_a_store_does_what_the_model_does(name: str) -> None:
    machine = functools.partial(StoreMachine, BACKENDS[name])
    short = hypothesis.settings(max_examples=EXAMPLES[name], stateful_step_count=30)
    sf.run_state_machine_as_test(machine, settings=short if IS_SHORT else None)  # type: ignore[arg-type] # a factory will do
