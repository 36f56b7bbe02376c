"""Tasks of A2A, as their owners ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agent_bus.core.task import Task, Tasks
from agent_bus.store import task_page

if TYPE_CHECKING:
    import apsw

    from agent_bus.core.model import AgentName, MessageId
    from agent_bus.core.task import TaskSlice

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
BY_ID: Final = f"SELECT {_COLUMNS} FROM task t WHERE t.id = ?"
NEWEST_OF_NAME: Final = (
    f"SELECT {_COLUMNS} FROM task t WHERE t.owner = ? AND t.agent = ? AND t.context_name = ?"
    " ORDER BY t.pk DESC LIMIT 1"
)
IN_THREAD: Final = "SELECT id FROM task WHERE thread_id = ?"
_OF_OWNER: Final = "t.owner = :owner AND t.agent = :agent"
_WHERE: Final = {
    "all": _OF_OWNER,
    "state": f"{_OF_OWNER} AND t.state = :state",
    "open": f"{_OF_OWNER} AND t.state = :state AND ({_FETCHED_AT} IS NOT NULL) = :fetched",
    "thread": (
        f"t.thread_id = :thread AND {_OF_OWNER} AND (:state IS NULL OR t.state = :state)"
        f" AND (:fetched IS NULL OR ({_FETCHED_AT} IS NOT NULL) = :fetched)"
    ),
}
_SINCE: Final = "t.updated_at > :since"
PAGE: Final = {
    name: (
        f"SELECT {_COLUMNS} FROM task t WHERE {where} AND {_SINCE}"
        " AND (t.updated_at, t.pk) < (:at, :pk)"
        " ORDER BY t.updated_at DESC, t.pk DESC LIMIT :limit"
    )
    for name, where in _WHERE.items()
}
TOTAL: Final = {
    name: f"SELECT count(*) FROM task t WHERE {where} AND {_SINCE}"
    for name, where in _WHERE.items()
}


def one(connection: apsw.Connection, task_id: MessageId) -> Task | None:
    """A task by its id."""
    row = connection.execute(BY_ID, (task_id,)).fetchone()
    return None if row is None else Task(*row)


def newest(
    connection: apsw.Connection, owner: AgentName, agent: AgentName, name: str
) -> Task | None:
    """The newest task of a context that its owner named."""
    row = connection.execute(NEWEST_OF_NAME, (owner, agent, name)).fetchone()
    return None if row is None else Task(*row)


def in_thread(connection: apsw.Connection, thread_id: str) -> set[MessageId]:
    """The ids of all tasks of a thread."""
    return {task_id for (task_id,) in connection.execute(IN_THREAD, (thread_id,))}


def page(connection: apsw.Connection, wanted: TaskSlice) -> Tasks:
    """A page of tasks; in a snapshot."""
    name, given = task_page.chosen(wanted), task_page.bindings(wanted)
    found = [Task(*row) for row in connection.execute(PAGE[name], given)]
    ((total,),) = connection.execute(TOTAL[name], given)
    return Tasks(found, total)
