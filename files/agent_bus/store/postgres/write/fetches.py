"""Fetches of a batch: the stamps from before are looked up together, the new ones written."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import AgentName, Fetched, Seq, value
from agent_bus.store import rows
from agent_bus.store.contract import SHOWN_LATELY_MS
from agent_bus.store.postgres.write import facts
from agent_bus.store.postgres.write.acks import count_closed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import Cursor

    from agent_bus.core.model import MailboxCounts
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.facts import Fact

SHOWN_BEFORE: Final = (
    "SELECT d.agent, d.seq, d.last_fetched_at, d.fetch_count,"
    " d.read_at IS NULL AND d.expired_at IS NULL"
    " FROM json_to_recordset(%s::json) AS w(agent text, seq bigint)"
    " JOIN delivery d ON d.seq = w.seq AND d.agent = w.agent"
)
MARK_FETCHED: Final = (
    "UPDATE delivery d SET fetched_at = coalesce(d.fetched_at, w.first),"
    " last_fetched_at = w.last, fetch_count = d.fetch_count + w.count"
    " FROM json_to_recordset(%s::json) AS w(seq bigint, first bigint, last bigint, count bigint)"
    " WHERE d.seq = w.seq"
)


@value
class Fetch:
    """A page that was shown to its agent."""

    agent: AgentName
    seqs: tuple[Seq, ...]
    now: int


@dataclass(slots=True)
class _Shown:
    """A delivery's stamps, as they become while the batch is decided."""

    last_at: int | None
    count: int
    is_open: bool
    first_now: int | None = None
    added: int = 0

    def show(self, now: int) -> None:
        """Move the stamp, unless it is of just now; one in the future moves, too."""
        if self.first_now is None:
            self.first_now = now
        if self.last_at is None or not now - SHOWN_LATELY_MS < self.last_at <= now:
            self.last_at = now
        self.count += 1
        self.added += 1


class Fetches:
    """All fetches of a batch."""

    def __init__(self, wanted: Sequence[Fetch]) -> None:
        self._wanted = wanted
        self._before: Cursor[Any] | None = None
        self._counted: Cursor[Any] | None = None
        self._shown: dict[tuple[AgentName, Seq], _Shown] = {}
        self._boxes: dict[AgentName, list[int]] = defaultdict(lambda: [0, 0])
        self._last: dict[AgentName, int] = {}
        self.newly: set[Seq] = set()
        self.results: list[Fetched | Exception] = []

    def ask(self, connection: NativeConnection) -> None:
        """Look up what was shown before."""
        pairs = dict.fromkeys((one.agent, seq) for one in self._wanted for seq in one.seqs)
        if pairs:
            document = json.dumps([{"agent": agent, "seq": seq} for agent, seq in pairs])
            self._before = connection.execute(SHOWN_BEFORE, (document,))

    def decide(self) -> None:
        """The stamps from before, for each fetch in its turn."""
        for agent, seq, last_at, count, is_open in self._before or ():
            self._shown[agent, seq] = _Shown(last_at, count, is_open)
        for n, one in enumerate(self._wanted):
            before: dict[Seq, tuple[int | None, int]] = {}
            for seq in one.seqs:
                shown = self._shown.get((one.agent, seq))
                if shown is None:
                    continue
                before[seq] = (shown.last_at, shown.count)
                if shown.count == 0 and shown.is_open:
                    self.newly.add(seq)
                    self._boxes[one.agent][1] += 1
                    self._last[one.agent] = n
                shown.show(one.now)
            self.results.append(Fetched(before, ()))

    def write(self, connection: NativeConnection) -> None:
        """Stamp what was shown, and count it."""
        if self._shown:
            document = [
                {"seq": seq, "first": one.first_now, "last": one.last_at, "count": one.added}
                for (_, seq), one in self._shown.items()
            ]
            connection.execute(MARK_FETCHED, (json.dumps(document),))
        if self._boxes:
            self._counted = count_closed(connection, self._boxes)

    def facts(self) -> list[Fact]:
        """What other hubs are told."""
        return facts.counted(self._boxes)

    def counted(self) -> Iterable[AgentName]:
        """Whose counters changed."""
        return self._boxes

    def finish(self, boxes: Sequence[MailboxCounts] | None) -> None:
        """Each agent's counters come with its last fetch of the batch."""
        if boxes is None:
            boxes = rows.mailboxes(self._counted or ())
        for box in boxes:
            n = self._last.get(box.agent)
            result = None if n is None else self.results[n]
            if n is not None and isinstance(result, Fetched):
                self.results[n] = Fetched(result.before, (box,))
