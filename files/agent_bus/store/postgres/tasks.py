"""Tasks of A2A: the steps that make, join and cancel them, and what their owners ask for.

A step is a message with what it makes of its task, each by itself in a batch, behind the batch's
ordinary sends: so a reply that comes with a cancel is seen by it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agent_bus.core import task
from agent_bus.core.model import Sent
from agent_bus.core.task import Task, Tasks
from agent_bus.store import task_page, task_thread
from agent_bus.store.postgres.link import connections
from agent_bus.store.postgres.read import history, reads
from agent_bus.store.postgres.write.sends import Sends

if TYPE_CHECKING:
    from psycopg import Connection

    from agent_bus.core.model import AgentName, Draft, MessageId
    from agent_bus.core.task import Step, TaskSlice, TaskThread
    from agent_bus.store.postgres.link.connections import NativeConnection
    from agent_bus.store.postgres.write.sends import Send

SEQ: Final = "SELECT seq FROM head"
OPENED: Final = (
    "INSERT INTO task (pk, id, thread_id, owner, agent, client_id, context_name, state,"
    " created_at, updated_at) VALUES (%(pk)s, %(id)s, %(thread)s, %(owner)s, %(agent)s,"
    " %(client_id)s, %(context_name)s, 'open', %(now)s, %(now)s)"
)
NAMED: Final = (
    "SELECT id FROM task WHERE owner = %s AND agent = %s AND context_name = %s"
    " ORDER BY pk DESC LIMIT 1"
)
STANDING: Final = "SELECT owner, agent, state FROM task WHERE id = %s"
CANCEL: Final = "UPDATE task SET state = 'canceled', updated_at = %s WHERE id = %s"
_FETCHED_AT: Final = (
    "coalesce((SELECT coalesce(d.fetched_at, d.read_at) FROM delivery d"
    " WHERE d.message_pk = t.pk AND d.agent = t.agent),"
    " (SELECT coalesce(d.fetched_at, d.read_at) FROM archive_delivery d"
    " WHERE d.message_pk = t.pk AND d.agent = t.agent))"
)
_COLUMNS: Final = (
    "t.pk, t.id, t.thread_id, t.owner, t.agent, t.client_id, t.context_name, t.state,"
    f" t.created_at, t.updated_at, t.answer_id, {_FETCHED_AT}"
)
BY_ID: Final = f"SELECT {_COLUMNS} FROM task t WHERE t.id = %s"
NEWEST_OF_NAME: Final = (
    f"SELECT {_COLUMNS} FROM task t WHERE t.owner = %s AND t.agent = %s AND t.context_name = %s"
    " ORDER BY t.pk DESC LIMIT 1"
)
IN_THREAD: Final = "SELECT id FROM task WHERE thread_id = %s"
_OF_OWNER: Final = "t.owner = %(owner)s AND t.agent = %(agent)s"
_WHERE: Final = {
    "all": _OF_OWNER,
    "state": f"{_OF_OWNER} AND t.state = %(state)s",
    "open": f"{_OF_OWNER} AND t.state = %(state)s AND ({_FETCHED_AT} IS NOT NULL) = %(fetched)s",
    "thread": (
        f"t.thread_id = %(thread)s AND {_OF_OWNER}"
        " AND (%(state)s::text IS NULL OR t.state = %(state)s)"
        f" AND (%(fetched)s::boolean IS NULL OR ({_FETCHED_AT} IS NOT NULL) = %(fetched)s)"
    ),
}
_SINCE: Final = "t.updated_at > %(since)s"
PAGE: Final = {
    name: (
        f"SELECT {_COLUMNS} FROM task t WHERE {where} AND {_SINCE}"
        " AND (t.updated_at, t.pk) < (%(at)s, %(pk)s)"
        " ORDER BY t.updated_at DESC, t.pk DESC LIMIT %(limit)s"
    )
    for name, where in _WHERE.items()
}
TOTAL: Final = {
    name: f"SELECT count(*) FROM task t WHERE {where} AND {_SINCE}"
    for name, where in _WHERE.items()
}


def take(connection: NativeConnection, *, step: Step, work: Send) -> Sent:
    """Store a step's message, and what it makes of its task; behind the lock on `head`.

    Raises:
        task.UnknownTaskError: it names no task of the sender with the recipient.
        task.TaskEndedError: the task has ended.
        errors.BusError: whatever a send raises.
    """
    work = replace(work, draft=_placed(connection, step, work.draft))
    sends = Sends([work])
    sends.ask(connection)
    sends.decide(connection, int(connections.one(connection, SEQ)))
    (sent,) = sends.results
    if isinstance(sent, Exception):
        raise sent
    if sent.replayed:
        return sent
    draft = work.draft
    if step.kind != "open":
        found = connection.execute(STANDING, (step.task_id,)).fetchone()
        task.require_open(found, owner=draft.sender, recipients=draft.recipients)
    sends.write(connection)
    sends.finish(None)
    message = sent.message
    if step.kind == "open":
        connection.execute(
            OPENED,
            {
                "pk": message.first_seq,
                "id": message.id,
                "thread": message.thread_id,
                "owner": message.sender,
                "agent": draft.recipients[0],
                "client_id": step.client_id,
                "context_name": step.context_name,
                "now": message.created_at,
            },
        )
    elif step.kind == "cancel":
        connection.execute(CANCEL, (message.created_at, step.task_id))
    (sent,) = sends.results
    assert isinstance(sent, Sent)
    return sent


def _placed(connection: NativeConnection, step: Step, draft: Draft) -> Draft:
    """The draft, in the context that its step names, if a request has begun that already.

    Only behind the lock nobody else can begin it between this look and the message.
    """
    if step.context_name is None or draft.reply_to is not None or not draft.recipients:
        return draft
    names = (draft.sender, draft.recipients[0], step.context_name)
    row = connection.execute(NAMED, names).fetchone()
    return draft if row is None else replace(draft, reply_to=row[0])


def one(connection: Connection[Any], task_id: MessageId) -> Task | None:
    """A task by its id."""
    row = connection.execute(BY_ID, (task_id,)).fetchone()
    return None if row is None else Task(*row)


def newest(
    connection: Connection[Any], owner: AgentName, agent: AgentName, name: str
) -> Task | None:
    """The newest task of a context that its owner named."""
    row = connection.execute(NEWEST_OF_NAME, (owner, agent, name)).fetchone()
    return None if row is None else Task(*row)


def thread(connection: Connection[Any], of: Task, *, limit: int) -> TaskThread:
    """A task's thread; in a snapshot."""
    slices = task_thread.slices(of, limit=limit)
    found = [one for part in slices for one in history.page(connection, part)]
    answer = None
    if of.answer_id is not None and of.answer_id not in {message.id for message, _ in found}:
        answer = reads.message(connection, of.answer_id)
    return task_thread.joined(of, found, answer, in_thread(connection, of.thread_id))


def in_thread(connection: Connection[Any], thread_id: str) -> set[MessageId]:
    """The ids of all tasks of a thread."""
    return {task_id for (task_id,) in connection.execute(IN_THREAD, (thread_id,))}


def page(connection: Connection[Any], wanted: TaskSlice) -> Tasks:
    """A page of tasks; in a snapshot."""
    name, given = task_page.chosen(wanted), task_page.bindings(wanted)
    found = [Task(*row) for row in connection.execute(PAGE[name], given)]
    ((total,),) = connection.execute(TOTAL[name], given)
    return Tasks(found, total)
