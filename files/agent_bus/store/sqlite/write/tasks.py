"""Tasks of A2A, written in the transaction of the message that makes or ends them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from agent_bus.core import task
from agent_bus.core.task import OpenTask

if TYPE_CHECKING:
    import apsw

    from agent_bus.core.model import Draft, MessageId, Sent
    from agent_bus.core.task import Step

OPENED: Final = (
    "INSERT INTO task (pk, id, thread_id, owner, agent, client_id, context_name, state,"
    " created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open', ?8, ?8)"
)
NAMED: Final = (
    "SELECT id FROM task WHERE owner = ? AND agent = ? AND context_name = ?"
    " ORDER BY pk DESC LIMIT 1"
)
STANDING: Final = "SELECT owner, agent, state FROM task WHERE id = ?"
CANCELED: Final = "UPDATE task SET state = 'canceled', updated_at = ? WHERE id = ?"
OPEN_IN_THREAD: Final = (
    "SELECT pk, id, owner, agent FROM task WHERE thread_id = ? AND state = 'open'"
    " ORDER BY updated_at, pk"
)
COMPLETED: Final = (
    "UPDATE task SET state = 'completed', updated_at = ?, answer_id = ? WHERE pk = ?"
)


def placed(connection: apsw.Connection, step: Step, draft: Draft) -> Draft:
    """The draft, in the context that its step names, if a request has begun that already."""
    if step.context_name is None or draft.reply_to is not None or not draft.recipients:
        return draft
    names = (draft.sender, draft.recipients[0], step.context_name)
    row = connection.execute(NAMED, names).fetchone()
    return draft if row is None else replace(draft, reply_to=row[0])


def require(connection: apsw.Connection, step: Step, draft: Draft) -> None:
    """Refuse a step that cannot be taken.

    Raises:
        task.UnknownTaskError: it names no task of the sender with the recipient.
        task.TaskEndedError: the task has ended.
    """
    if step.kind != "open":
        found = connection.execute(STANDING, (step.task_id,)).fetchone()
        task.require_open(found, owner=draft.sender, recipients=draft.recipients)


def take(connection: apsw.Connection, step: Step, sent: Sent) -> None:
    """What a step's message, which has just been stored, makes of its task."""
    message = sent.message
    if step.kind == "open":
        (delivery,) = sent.deliveries
        connection.execute(
            OPENED,
            (
                message.first_seq, message.id, message.thread_id, message.sender, delivery.agent,
                step.client_id, step.context_name, message.created_at,
            ),
        )  # fmt: skip
    elif step.kind == "cancel":
        connection.execute(CANCELED, (message.created_at, step.task_id))


def open_in_thread(connection: apsw.Connection, thread_id: MessageId) -> list[OpenTask]:
    """A thread's open tasks, oldest first."""
    return [OpenTask(*row) for row in connection.execute(OPEN_IN_THREAD, (thread_id,))]


def complete(connection: apsw.Connection, answered: tuple[int, MessageId, int]) -> None:
    """End a task: when (ms), by which message, and the task's pk."""
    connection.execute(COMPLETED, answered)
