"""What a store keeps of what waits for somebody: questions, their links, and the ladder.

A question is stored with its message, and answered with its reply, in one transaction each: see
`Store.send`. The rest is here. The ladder is who else is told of an urgent message that stays
unread, and when. Its steps are taken in two commits: `claim` says which notice is to be sent,
under which key, `settle` that it was. A hub that dies in between leaves a claim that `unsettled`
shows, and its notice is sent again under the same key, which stores it once.

Times are steady ms (see `core/clock.py`) but where people read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.guards.question import Question
    from agent_bus.core.model import AgentName, Delivery, MessageId, Seq

PER_AGENT: Final = 100
"""Urgent unread messages of one agent that are looked at, the oldest: who has so many unread will
not be helped by word of the next one."""
LINKS_KEPT: Final = 20
"""Links per question, the newest: one for each channel and each reminder, and some to spare."""
ENDED_AT_ONCE: Final = 100
"""Questions whose end is told in one round."""


@dataclass(frozen=True, slots=True)
class Climber:
    """An urgent delivery that is unread.

    `since` (steady ms) is None before `begin`; `taken` are the targets that were told. `data_json`
    is None where it names no ladder of its own.
    """

    seq: Seq
    agent: AgentName
    message_pk: Seq
    message_id: MessageId
    sender: AgentName
    data_json: str | None
    since: int | None
    taken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LadderStep:
    """A step that was taken; `at` is wall ms. Without `notice_id` there was nobody to tell."""

    seq: Seq
    target: str
    at: int
    notice_id: MessageId | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice to be sent: to whom, about which deliveries, under which key."""

    key: str
    target: str
    seqs: tuple[Seq, ...]


class Pending(Protocol):
    """All calls block the calling greenlet, never the loop."""

    def question(self, message_id: MessageId) -> Question | None:
        """The question that a message asks."""

    def open_questions(self, *, limit: int) -> list[Question]:
        """Those that can still be answered, newest first."""

    def keep_link(self, sha256: str, question: Question, *, expires_at: int) -> None:
        """Keep a link; the oldest of the question's make room."""

    def question_of_link(self, sha256: str) -> tuple[Question, int] | None:
        """The question that a link answers, and until when it does."""

    def overdue_questions(self) -> list[Question]:
        """Those that have expired without an answer and whose askers do not know it."""

    def end_question(self, question: Question) -> None:
        """Their asker was told; harmless when repeated, and nothing after an answer."""

    def urgent_unread(self, agents: Sequence[AgentName]) -> list[Climber]:
        """Urgent unread deliveries of some agents, oldest first within each."""

    def begin(self, climbers: Sequence[Climber]) -> None:
        """Count their waiting from now on."""

    def claim(self, key: str, target: str, climbers: Sequence[Climber]) -> list[Seq]:
        """Take a step for those that are unread now and have not taken it; answers which."""

    def unsettled(self) -> list[Claim]:
        """Claims whose notice may not have been sent."""

    def settle(self, key: str, notice_id: MessageId | None) -> None:
        """A claim's notice is stored; None: there was nobody to tell."""

    def deliveries(self, seqs: Sequence[Seq]) -> list[Delivery]:
        """These deliveries, archived or not, in their order."""

    def steps(self, message_pk: Seq) -> list[LadderStep]:
        """The steps of a message's deliveries, in their order."""
