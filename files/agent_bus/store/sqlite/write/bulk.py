"""Many rows by one statement, and the rows of new messages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core.model import AgentName, Delivery, MailboxCounts, Message, Seq
from agent_bus.store import rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.model import Stamp

ROWS_AT_ONCE: Final = 64
"""Rows per statement; more rows take more statements, which bounds the cached text."""
HIGHEST_SEQ: Final = "SELECT seq FROM sqlite_sequence WHERE name = 'delivery'"
INSERT_MESSAGES: Final = (
    "INSERT INTO message (pk, id, thread_id, sender, subject, body, data, rank, reply_to, hops,"
    " created_at, expires_at, open_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_DELIVERIES: Final = (
    "INSERT INTO delivery (seq, message_pk, agent, sender, rank) VALUES (?, ?, ?, ?, ?)"
)
COUNT_SENT: Final = (
    "WITH new (name, added, newest) AS (VALUES (?, ?, ?))"
    " UPDATE mailbox SET unread = unread + new.added, unfetched = unfetched + new.added,"
    " last_seq = new.newest FROM new WHERE mailbox.agent = new.name"
    f" RETURNING {rows.MAILBOX_COLUMNS}"
)
STAMP_PUSHED: Final = (
    "WITH new (number, at) AS (VALUES (?, ?))"
    " UPDATE delivery SET pushed_at = coalesce(pushed_at, new.at)"
    " FROM new WHERE delivery.seq = new.number"
)


class Rows:
    """The rows of new messages: three statements store any number of them."""

    def __init__(self) -> None:
        self.next_seq = Seq(0)
        self._messages: list[tuple[Any, ...]] = []
        self._deliveries: list[tuple[Any, ...]] = []
        self._added: dict[AgentName, int] = {}
        self._newest: dict[AgentName, Seq] = {}

    def __bool__(self) -> bool:
        return bool(self._messages)

    def begin(self, connection: apsw.Connection) -> None:
        """Go on behind the newest delivery."""
        highest = connection.execute(HIGHEST_SEQ).fetchone()
        self.next_seq = Seq((highest[0] if highest else 0) + 1)

    def add(self, message: Message, recipients: Sequence[AgentName]) -> tuple[Delivery, ...]:
        """Add a message whose first delivery is `next_seq`."""
        pk = seq = message.first_seq
        self._messages.append(
            (
                pk, message.id, message.thread_id, message.sender, message.subject, message.body,
                message.data_json, message.rank, message.reply_to, message.depth,
                message.created_at, message.expires_at, len(recipients),
            )
        )  # fmt: skip
        found = []
        for agent in recipients:
            self._deliveries.append((seq, pk, agent, message.sender, message.rank))
            self._added[agent] = self._added.get(agent, 0) + 1
            self._newest[agent] = seq
            found.append(Delivery(seq, agent, message))
            seq = Seq(seq + 1)
        self.next_seq = seq
        return tuple(found)

    def write(self, connection: apsw.Connection) -> tuple[MailboxCounts, ...]:
        """Store them all; answers the recipients' counters, in the order of their deliveries."""
        execute(connection, INSERT_MESSAGES, self._messages)
        execute(connection, INSERT_DELIVERIES, self._deliveries)
        added = [(agent, count, self._newest[agent]) for agent, count in self._added.items()]
        counted = rows.mailboxes(execute(connection, COUNT_SENT, added))
        found = {box.agent: box for box in counted}  # SQLite promises no order for RETURNING
        return tuple(found[agent] for agent in self._added if agent in found)


def stamp_pushed(connection: apsw.Connection, stamps: Sequence[Stamp]) -> None:
    """Record when deliveries were first written to a stream."""
    execute(connection, STAMP_PUSHED, [(stamp.seq, stamp.at) for stamp in stamps])


def execute(connection: apsw.Connection, sql: str, values: Sequence[Sequence[Any]]) -> list[Any]:
    """Run a statement written for one row with many rows; answers what it returns."""
    found: list[Any] = []
    for start in range(0, len(values), ROWS_AT_ONCE):
        part = values[start : start + ROWS_AT_ONCE]
        bindings = [cell for row in part for cell in row]
        found.extend(connection.execute(_for_rows(sql, len(part)), bindings))
    return found


@functools.lru_cache(maxsize=8 * ROWS_AT_ONCE)
def _for_rows(sql: str, count: int) -> str:
    """The statement with its VALUES repeated."""
    before, values, row = sql.partition("VALUES ")
    placeholders, end, after = row.partition(")")
    one = f"{placeholders}{end}"
    return f"{before}{values}{', '.join([one] * count)}{after}"
