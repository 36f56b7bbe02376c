"""A2A tasks: a request to an agent, and what became of it.

A task is made by one message, and has its id. Its state is stored where it has ended; while it is
open, whether the agent has fetched the message says the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_bus.core.model import AgentName, Delivery, Message, MessageId, Seq

TaskState = Literal["open", "completed", "failed", "canceled", "rejected"]
"""As stored. `failed`: the message expired unread. `rejected`: the agent was retired."""
OPEN: Final = "open"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
CANCELED: Final = "canceled"
REJECTED: Final = "rejected"

StepKind = Literal["open", "join", "cancel"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a message is to a task: it opens one, adds to an open one, or cancels it.

    Attributes:
        task_id: which task; None for one that this message opens.
        client_id: the id that the client gave its message.
        context_name: the client's own name for the context. A message that opens a task and
            replies to nothing goes on in the context of this name, or begins it.
    """

    kind: StepKind
    task_id: MessageId | None = None
    client_id: str | None = None
    context_name: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task as stored.

    `updated_at` (ms) is when it was made or ended. `fetched_at` is when its agent was first shown
    it, `answer_id` the message that completed it. `context_name` is the client's own name for its
    context, None where the client has taken the thread's id.
    """

    pk: Seq
    id: MessageId
    thread_id: MessageId
    owner: AgentName
    agent: AgentName
    client_id: str | None
    context_name: str | None
    state: TaskState
    created_at: int
    updated_at: int
    answer_id: MessageId | None
    fetched_at: int | None

    @property
    def context_id(self) -> str:
        """The context as its client knows it."""
        return self.context_name or self.thread_id

    @property
    def is_open(self) -> bool:
        """Whether it may still be answered."""
        return self.state == OPEN


@dataclass(frozen=True, slots=True)
class TaskSlice:
    """The tasks of one owner with one agent, the one that ended or was made last first.

    `fetched` chooses among open ones. `since` is in wall-clock ms, `before` is (updated_at, pk) of
    the last task of the page before.
    """

    owner: AgentName
    agent: AgentName
    limit: int
    state: TaskState | None = None
    fetched: bool | None = None
    thread: str | None = None
    since: int | None = None
    before: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Tasks:
    """A page of tasks, and how many there are on all pages."""

    page: list[Task]
    total: int


@dataclass(frozen=True, slots=True)
class TaskThread:
    """A task's thread from its message on, oldest first; `others` are the thread's other tasks.

    The message that completed the task is among them in any case.
    """

    messages: list[tuple[Message, list[Delivery]]]
    others: set[MessageId]


@dataclass(frozen=True, slots=True)
class OpenTask:
    """What has to be known of an open task to tell whether a message answers it."""

    pk: int
    id: str
    owner: str
    agent: str


def answered(
    open_ones: Sequence[OpenTask],
    *,
    sender: str,
    recipients: Sequence[str],
    reply_to: str | None,
    replied_to: str | None,
    operator: str,
) -> OpenTask | None:
    """The task that a reply in a task's thread answers; None when it answers none.

    It goes from the agent to the owner. Among several open tasks of a thread it is the one whose
    message it replies to, then the one that this message added to, then the oldest. The operator
    may answer in an agent's place, by a direct reply.

    Args:
        open_ones: all open tasks of the thread, oldest first.
        sender: who replies.
        recipients: to whom.
        reply_to: the message that it replies to.
        replied_to: what that message replied to.
        operator: the operator's name.
    """
    mine = [one for one in open_ones if one.owner in recipients and one.agent == sender]
    if sender == operator:
        mine = [one for one in open_ones if one.owner in recipients and one.id == reply_to]
    for wanted in (reply_to, replied_to):
        for one in mine:
            if one.id == wanted:
                return one
    return mine[0] if mine else None


class UnknownTaskError(Exception):
    """There is no such task of this owner with this agent."""


class TaskEndedError(Exception):
    """The task has ended: nothing can be added to it, and it cannot be canceled."""

    def __init__(self, state: TaskState) -> None:
        super().__init__(state)
        self.state = state


def require_open(
    found: tuple[str, str, TaskState] | None, *, owner: str, recipients: Sequence[str]
) -> None:
    """Let a step go on only with an open task of its sender with its recipient.

    Args:
        found: owner, agent and state of the task that the step names.
        owner: who sends.
        recipients: to whom.

    Raises:
        UnknownTaskError: there is none.
        TaskEndedError: it has ended.
    """
    if found is None or found[0] != owner or [found[1]] != list(recipients):
        raise UnknownTaskError
    if found[2] != OPEN:
        raise TaskEndedError(found[2])
