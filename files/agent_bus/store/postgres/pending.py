"""What waits for somebody, in PostgreSQL: see `store/pending.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from agent_bus.store import rows
from agent_bus.store.pending import (
    ENDED_AT_ONCE,
    LINKS_KEPT,
    PER_AGENT,
    Claim,
    Climber,
    LadderStep,
)
from agent_bus.store.postgres.write.transaction import Applied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent_bus.core.clock import Clock
    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import AgentName, Delivery, MessageId, Seq
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.link.pool import Readers
    from agent_bus.store.postgres.write.writer import Writer

T = TypeVar("T")

_OPEN: Final = "q.answer_id IS NULL AND q.ended_at IS NULL"
BY_ID: Final = f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE q.id = %s"
OPEN: Final = (
    f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE {_OPEN}"
    " AND (q.expires_at IS NULL OR q.expires_at > %s) ORDER BY q.pk DESC LIMIT %s"
)
OVERDUE: Final = (
    f"SELECT {rows.QUESTION_COLUMNS} FROM question q WHERE {_OPEN} AND q.expires_at IS NOT NULL"
    " AND q.expires_at <= %s ORDER BY q.expires_at LIMIT %s"
)
END: Final = "UPDATE question SET ended_at = %s WHERE pk = %s AND answer_id IS NULL"
KEEP_LINK: Final = (
    "INSERT INTO question_link (sha256, question_pk, expires_at, made_at) VALUES (%s, %s, %s, %s)"
)
DROP_LINKS: Final = (
    "DELETE FROM question_link WHERE sha256 IN (SELECT sha256 FROM question_link"
    " WHERE question_pk = %s ORDER BY made_at DESC OFFSET %s)"
)
BY_LINK: Final = (
    f"SELECT {rows.QUESTION_COLUMNS}, l.expires_at FROM question_link l"
    " JOIN question q ON q.pk = l.question_pk WHERE l.sha256 = %s"
)
URGENT: Final = (
    "SELECT d.seq, d.agent, d.message_pk, m.id, m.sender,"
    " CASE WHEN strpos(m.data, '\"escalate\"') > 0 THEN m.data END,"
    " (SELECT since FROM ladder l WHERE l.seq = d.seq),"
    " (SELECT string_agg(target, ',') FROM ladder_step s WHERE s.seq = d.seq)"
    " FROM unnest(%(agents)s::text[]) AS a(name) CROSS JOIN LATERAL ("
    "SELECT o.seq, o.agent, o.message_pk FROM delivery o WHERE o.agent = a.name AND o.rank = 0"
    " AND o.read_at IS NULL AND o.expired_at IS NULL AND o.sender <> 'bus'"
    " ORDER BY o.rank, o.seq LIMIT %(limit)s) AS d"
    " JOIN message m ON m.pk = d.message_pk"
    " WHERE m.expires_at IS NULL OR m.expires_at > %(steady)s"
)
BEGIN: Final = (
    "INSERT INTO ladder (seq, message_pk, since)"
    " SELECT s, p, %s FROM unnest(%s::bigint[], %s::bigint[]) AS w(s, p) ON CONFLICT DO NOTHING"
)
CLAIM: Final = (
    "INSERT INTO ladder_step (seq, target, message_pk, at, notice_key)"
    " SELECT seq, %s, message_pk, %s, %s FROM delivery"
    " WHERE seq = ANY(%s) AND read_at IS NULL AND expired_at IS NULL"
    " ON CONFLICT DO NOTHING RETURNING seq"
)
UNSETTLED: Final = (
    "SELECT notice_key, target, array_agg(seq ORDER BY seq) FROM ladder_step"
    " WHERE is_settled = 0 GROUP BY notice_key, target ORDER BY notice_key"
)
SETTLE: Final = (
    "UPDATE ladder_step SET notice_id = %s, is_settled = 1"
    " WHERE notice_key = %s AND is_settled = 0"
)
STEPS: Final = (
    "SELECT seq, target, at, notice_id FROM ladder_step WHERE message_pk = %s ORDER BY seq, at"
)
DELIVERIES: Final = tuple(
    f"SELECT {rows.MESSAGE_COLUMNS}, {rows.DELIVERY_COLUMNS} FROM {delivery} d"
    f" JOIN {message} m ON m.pk = d.message_pk WHERE d.seq = ANY(%s)"
    for message, delivery in (("message", "delivery"), ("archive_message", "archive_delivery"))
)


class PostgresPending:
    """Shares the connections of the store that it belongs to."""

    def __init__(self, *, readers: Readers, writer: Writer, clock: Clock) -> None:
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

        def apply(connection: NativeConnection) -> None:
            connection.execute(KEEP_LINK, (sha256, question.pk, expires_at, made_at))
            connection.execute(DROP_LINKS, (question.pk, LINKS_KEPT))

        self._run(apply)

    def question_of_link(self, sha256: str) -> tuple[Question, int] | None:
        """The question that a link answers, and until when."""
        row = self._readers.run(lambda c: c.execute(BY_LINK, (sha256,)).fetchone())
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
        self._run(lambda c: c.execute(END, given))

    def urgent_unread(self, agents: Sequence[AgentName]) -> list[Climber]:
        """Urgent unread deliveries of some agents."""
        given = {"agents": list(agents), "steady": self._clock.steady_ms(), "limit": PER_AGENT}
        found = self._readers.run(lambda c: [_climber(row) for row in c.execute(URGENT, given)])
        place = {agent: number for number, agent in enumerate(agents)}
        return sorted(found, key=lambda one: (place[one.agent], one.seq))

    def begin(self, climbers: Sequence[Climber]) -> None:
        """Count their waiting from now on."""
        seqs, pks = [one.seq for one in climbers], [one.message_pk for one in climbers]
        given = (self._clock.steady_ms(), seqs, pks)
        self._run(lambda c: c.execute(BEGIN, given))

    def claim(self, key: str, target: str, climbers: Sequence[Climber]) -> list[Seq]:
        """Take a step."""
        given = (target, self._clock.now_ms(), key, [one.seq for one in climbers])
        return self._run(lambda c: sorted(seq for (seq,) in c.execute(CLAIM, given)))

    def unsettled(self) -> list[Claim]:
        """Claims whose notice may not have been sent."""
        found = self._readers.run(lambda c: c.execute(UNSETTLED).fetchall())
        return [Claim(key, target, tuple(seqs)) for key, target, seqs in found]

    def settle(self, key: str, notice_id: MessageId | None) -> None:
        """A claim's notice is stored."""
        self._run(lambda c: c.execute(SETTLE, (notice_id, key)))

    def deliveries(self, seqs: Sequence[Seq]) -> list[Delivery]:
        """These deliveries, archived or not."""
        found = self._readers.run(
            lambda c: [
                rows.joined(row) for sql in DELIVERIES for row in c.execute(sql, ([*seqs],))
            ]
        )
        return sorted(found, key=lambda one: seqs.index(one.seq))

    def steps(self, message_pk: Seq) -> list[LadderStep]:
        """The steps of a message's deliveries."""
        return self._readers.run(
            lambda c: [LadderStep(*row) for row in c.execute(STEPS, (message_pk,))]
        )

    def _run(self, apply: Callable[[NativeConnection], T]) -> T:
        found: T = self._writer.do(Applied(apply, is_quick=True))
        return found


def _climber(row: Sequence[Any]) -> Climber:
    *columns, taken = row
    values: Any = (*columns, tuple(taken.split(",")) if taken else ())
    return Climber(*values)
