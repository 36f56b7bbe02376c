"""What waits for somebody, in SQLite: see `store/pending.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agent_bus.store import rows
from agent_bus.store.pending import (
    ENDED_AT_ONCE,
    LINKS_KEPT,
    PER_AGENT,
    Claim,
    Climber,
    LadderStep,
)
from agent_bus.store.sqlite.write.questions import BY_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import AgentName, Delivery, MessageId, Seq
    from agent_bus.runtime.greenlets import ThreadedPool
    from agent_bus.store.sqlite.write.writer import Writer

_OPEN: Final = "q.answer_id IS NULL AND q.ended_at IS NULL"
OPEN: Final = (
    f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE {_OPEN}"
    " AND (q.expires_at IS NULL OR q.expires_at > ?) ORDER BY q.pk DESC LIMIT ?"
)
OVERDUE: Final = (
    f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE {_OPEN} AND q.expires_at IS NOT NULL"
    " AND q.expires_at <= ? ORDER BY q.expires_at LIMIT ?"
)
END: Final = "UPDATE question SET ended_at = ? WHERE pk = ? AND answer_id IS NULL"
KEEP_LINK: Final = (
    "INSERT INTO question_link (sha256, question_pk, expires_at, made_at) VALUES (?, ?, ?, ?)"
)
DROP_LINKS: Final = (
    "DELETE FROM question_link WHERE sha256 IN (SELECT sha256 FROM question_link"
    " WHERE question_pk = ? ORDER BY made_at DESC LIMIT -1 OFFSET ?)"
)
BY_LINK: Final = (
    f"SELECT {rows.QUESTION_COLUMNS}, l.expires_at FROM question_link l"
    " JOIN question q ON q.pk = l.question_pk WHERE l.sha256 = ?"
)
URGENT: Final = (
    "SELECT d.seq, d.agent, d.message_pk, m.id, m.sender,"
    " CASE WHEN instr(m.data, '\"escalate\"') THEN m.data END,"
    " (SELECT since FROM ladder l WHERE l.seq = d.seq),"
    " (SELECT group_concat(target) FROM ladder_step s WHERE s.seq = d.seq)"
    " FROM delivery d JOIN message m ON m.pk = d.message_pk"
    " WHERE d.agent = ? AND d.rank = 0 AND d.read_at IS NULL AND d.expired_at IS NULL"
    " AND d.sender <> 'bus' AND (m.expires_at IS NULL OR m.expires_at > ?)"
    " ORDER BY d.seq LIMIT ?"
)
BEGIN: Final = (
    "INSERT INTO ladder (seq, message_pk, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
CLAIM: Final = (
    "INSERT INTO ladder_step (seq, target, message_pk, at, notice_key)"
    " SELECT seq, ?1, message_pk, ?2, ?3 FROM delivery"
    " WHERE seq = ?4 AND read_at IS NULL AND expired_at IS NULL ON CONFLICT DO NOTHING"
)
UNSETTLED: Final = (
    "SELECT notice_key, target, seq FROM ladder_step WHERE is_settled = 0 ORDER BY notice_key"
)
SETTLE: Final = (
    "UPDATE ladder_step SET notice_id = ?, is_settled = 1 WHERE notice_key = ? AND is_settled = 0"
)
STEPS: Final = (
    "SELECT seq, target, at, notice_id FROM ladder_step WHERE message_pk = ? ORDER BY seq"
)
DELIVERY: Final = tuple(
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM {delivery} d"
    f" JOIN {message} m ON m.pk = d.message_pk WHERE d.seq = ?"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)


class SqlitePending:
    """Shares the connections of the store that it belongs to."""

    def __init__(
        self, *, readers: ThreadedPool[apsw.Connection], writer: Writer, clock: Clock
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._clock = clock

    def question(self, message_id: MessageId) -> Question | None:
        """The question that a message asks."""
        row = self._readers.run(lambda c: c.execute(BY_ID, (message_id,)).fetchone())
        return None if row is None else rows.question(row)

    def open_questions(self, *, limit: int) -> list[Question]:
        """Those that can still be answered."""
        steady = self._clock.steady_ms()
        return self._readers.run(
            lambda c: [rows.question(row) for row in c.execute(OPEN, (steady, limit))]
        )

    def keep_link(self, sha256: str, question: Question, *, expires_at: int) -> None:
        """Keep a link."""
        made_at = self._clock.steady_ms()

        def apply(connection: apsw.Connection) -> None:
            connection.execute(KEEP_LINK, (sha256, question.pk, expires_at, made_at))
            connection.execute(DROP_LINKS, (question.pk, LINKS_KEPT))

        self._writer.run(apply)

    def question_of_link(self, sha256: str) -> tuple[Question, int] | None:
        """The question that a link answers, and until when."""
        row: Any = self._readers.run(lambda c: c.execute(BY_LINK, (sha256,)).fetchone())
        return None if row is None else (rows.question(row), row[rows.QUESTION_WIDTH])

    def overdue_questions(self) -> list[Question]:
        """Those whose askers do not know that they have expired."""
        given = (self._clock.steady_ms(), ENDED_AT_ONCE)
        return self._readers.run(
            lambda c: [rows.question(row) for row in c.execute(OVERDUE, given)]
        )

    def end_question(self, question: Question) -> None:
        """Their asker was told."""
        given = (self._clock.now_ms(), question.pk)
        self._writer.run(lambda c: c.execute(END, given).fetchall())

    def urgent_unread(self, agents: Sequence[AgentName]) -> list[Climber]:
        """Urgent unread deliveries of some agents."""
        steady = self._clock.steady_ms()
        return self._readers.run(
            lambda c: [
                _climber(row)
                for agent in agents
                for row in c.execute(URGENT, (agent, steady, PER_AGENT))
            ]
        )

    def begin(self, climbers: Sequence[Climber]) -> None:
        """Count their waiting from now on."""
        steady = self._clock.steady_ms()
        given = [(one.seq, one.message_pk, steady) for one in climbers]
        self._writer.run(lambda c: c.executemany(BEGIN, given).fetchall())

    def claim(self, key: str, target: str, climbers: Sequence[Climber]) -> list[Seq]:
        """Take a step."""
        now = self._clock.now_ms()

        def apply(connection: apsw.Connection) -> list[Seq]:
            taken = []
            for one in climbers:
                connection.execute(CLAIM, (target, now, key, one.seq))
                if connection.changes():
                    taken.append(one.seq)
            return taken

        return self._writer.run(apply)

    def unsettled(self) -> list[Claim]:
        """Claims whose notice may not have been sent."""
        rest: list[Any] = self._readers.run(lambda c: c.execute(UNSETTLED).fetchall())
        found: dict[tuple[str, str], list[Seq]] = {}
        for key, target, seq in rest:
            found.setdefault((key, target), []).append(seq)
        return [Claim(key, target, tuple(seqs)) for (key, target), seqs in found.items()]

    def settle(self, key: str, notice_id: MessageId | None) -> None:
        """A claim's notice is stored."""
        self._writer.run(lambda c: c.execute(SETTLE, (notice_id, key)).fetchall())

    def deliveries(self, seqs: Sequence[Seq]) -> list[Delivery]:
        """These deliveries, archived or not."""

        def read(connection: apsw.Connection) -> list[Delivery]:
            found = []
            for seq in seqs:
                for sql in DELIVERY:
                    found += [rows.joined(row) for row in connection.execute(sql, (seq,))]
            return found

        return self._readers.run(read)

    def steps(self, message_pk: Seq) -> list[LadderStep]:
        """The steps of a message's deliveries."""
        found: list[Any] = self._readers.run(lambda c: c.execute(STEPS, (message_pk,)).fetchall())
        return sorted((LadderStep(*row) for row in found), key=lambda one: (one.seq, one.at))


def _climber(row: Sequence[Any]) -> Climber:
    *columns, taken = row
    values: Any = (*columns, tuple(taken.split(",")) if taken else ())
    return Climber(*values)
